// Renders the little Markdown that comments of the demo use, by building nodes: text never becomes markup.

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

const INLINE = new RegExp(
  [
    "(`+)([^`](?:.*?[^`])?)\\1(?!`)", // 1, 2: code span
    "\\\\([!-/:-@[-`{-~])", // 3: escaped punctuation
    "&(#\\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,6});", // 4: entity
    "\\*\\*(?=\\S)(.+?)(?<=\\S)\\*\\*", // 5: strong
    "(?<![\\w*])[*_](?=\\S)([^*_]+?)(?<=\\S)[*_](?![\\w*])", // 6: emphasis
    "\\[([^\\]]+)\\]\\(([^)\\s]+)\\)", // 7, 8: link
    "(?<![\\w.+-])(@[a-z][\\w.-]*)", // 9: mention
  ].join("|"),
  "gis",
);

function element(name, content, className) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...(Array.isArray(content) ? content : [content]));
  return node;
}

function entity(name) {
  const code = /^#x/i.test(name) ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
  if (name.startsWith("#")) return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : `&${name};`;
  return ENTITIES[name.toLowerCase()] ?? `&${name};`;
}

function inline(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, match.index));
    end = match.index + match[0].length;
    const [, , code, escaped, named, strong, emphasis, label, address, mention] = match;
    if (code !== undefined) nodes.push(element("code", code));
    else if (escaped !== undefined) nodes.push(escaped);
    else if (named !== undefined) nodes.push(entity(named));
    else if (strong !== undefined) nodes.push(element("strong", inline(strong)));
    else if (emphasis !== undefined) nodes.push(element("em", inline(emphasis)));
    else if (label !== undefined) {
      // Shown, not followed: the demo's texts come from anybody.
      const link = element("span", inline(label), "link");
      link.title = address;
      nodes.push(link);
    } else nodes.push(element("span", mention, "mention"));
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}

function lines(texts) {
  return texts.flatMap((text, index) => (index ? [element("br", []), ...inline(text)] : inline(text)));
}

const FENCE = /^(```+|~~~+)/;
const ITEM = /^ {0,3}(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const ROW = /^\s*\|(.*)\|\s*$/;

function starts(text) {
  return text === "" || FENCE.test(text) || ITEM.test(text) || /^>|^#{1,6}\s/.test(text) || ROW.test(text);
}

function table(rows) {
  const cells = rows.map((row) => ROW.exec(row)[1].split(/(?<!\\)\|/).map((cell) => cell.trim()));
  const isRule = (row) => row.every((cell) => /^:?-+:?$/.test(cell));
  const body = cells.filter((row) => !isRule(row));
  const headed = cells.length > 1 && isRule(cells[1]);
  return element(
    "table",
    body.map((row, index) =>
      element("tr", row.map((cell) => element(headed && index === 0 ? "th" : "td", inline(cell)))),
    ),
  );
}

// Returns the nodes of a comment; HTML comments are left out.
export function render(source) {
  const rest = source.replace(/\r/g, "").replace(/<!--[^]*?-->/g, "").split("\n");
  const take = (matches) => {
    const taken = [];
    while (rest.length && matches(rest[0])) taken.push(rest.shift());
    return taken;
  };
  const blocks = [];
  while (rest.length) {
    const first = rest[0];
    const fence = FENCE.exec(first);
    if (first.trim() === "") {
      rest.shift();
    } else if (fence) {
      rest.shift();
      const code = take((text) => !text.startsWith(fence[1]));
      rest.shift();
      blocks.push(element("pre", element("code", code.join("\n"))));
    } else if (ITEM.test(first)) {
      const ordered = ITEM.exec(first)[1] !== undefined;
      const items = take((text) => ITEM.test(text) && (ITEM.exec(text)[1] !== undefined) === ordered);
      blocks.push(element(ordered ? "ol" : "ul", items.map((text) => element("li", inline(ITEM.exec(text)[2])))));
    } else if (first.startsWith(">")) {
      const quoted = take((text) => text.startsWith(">")).map((text) => text.replace(/^> ?/, ""));
      blocks.push(element("blockquote", render(quoted.join("\n"))));
    } else if (/^#{1,6}\s/.test(first)) {
      blocks.push(element("p", element("strong", inline(rest.shift().replace(/^#+\s+/, "")))));
    } else if (ROW.test(first)) {
      blocks.push(table(take((text) => ROW.test(text))));
    } else {
      const texts = [rest.shift(), ...take((text) => !starts(text))];
      blocks.push(element("p", lines(texts)));
    }
  }
  return blocks;
}
