// Shows one issue as the chosen person sees it, and posts as that person.

import { render } from "/sandbox/markdown.js";

const $ = (id) => document.getElementById(id);
const EMOJI = {
  thumbsup: "👍", thumbsdown: "👎", white_check_mark: "✅", x: "❌", eyes: "👀", warning: "⚠️",
  question: "❓", hourglass: "⏳", tada: "🎉", heart: "❤️", no_entry: "⛔", no_entry_sign: "🚫",
};

let view = { as: null, issue: null };
let shown = null; // the state last drawn
let replying = null; // { discussion, name }
let editing = null; // id of the comment being edited
let awaited = null; // id of the comment whose webhook the status line waits for
const drawn = new Map(); // comment id -> { json, node }

function make(name, content = [], attributes = {}) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...(Array.isArray(content) ? content : [content]));
  return node;
}

const badge = (text, kind) => make("span", text, { className: `badge ${kind}` });

function time(iso) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  const options = today ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" };
  const text = new Intl.DateTimeFormat(undefined, options).format(at);
  return make("time", text, { dateTime: iso, title: at.toLocaleString() });
}

function fill(select, options, selected) {
  const wanted = JSON.stringify(options);
  if (select.dataset.options !== wanted) {
    select.replaceChildren(...options.map(([value, text]) => make("option", text, { value })));
    select.dataset.options = wanted;
  }
  if (selected !== null && document.activeElement !== select) select.value = String(selected);
}

function say(text, kind = "") {
  $("status").textContent = text;
  $("status").className = `status ${kind}`;
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const json = await answer.json().catch(() => ({}));
  if (answer.status === 200) return json;
  const why = json.message?.error ?? json.message ?? json.error ?? json.summary?.join(" ") ?? "";
  throw new Error(`The tracker answered ${answer.status}: ${String(why).replace(/^\d{3} /, "")}`);
}

function editor(note) {
  const text = make("textarea", [], { id: `edit-${note.id}`, rows: 3, value: note.body, spellcheck: false });
  const close = () => {
    editing = null;
    drawn.delete(note.id);
    drawThread(shown);
  };
  const form = make("form", [
    make("label", "Edit comment", { htmlFor: text.id }),
    text,
    make("div", [
      make("button", "Save", { type: "submit" }),
      make("button", "Cancel", { type: "button", className: "quiet", onclick: close }),
    ], { className: "compose-foot" }),
  ], { className: "editor" });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await post("/sandbox/edit", { note: note.id, as: view.as, body: text.value });
      awaited = note.id;
      say("Edited; waiting for the webhook");
      close();
    } catch (error) {
      say(error.message, "bad");
    }
  });
  return form;
}

function actions(note) {
  const buttons = [];
  if (!note.system && !note.reply) {
    buttons.push(make("button", "Reply", {
      type: "button",
      className: "quiet",
      "aria-label": `Reply to ${note.author.name}`,
      onclick: () => {
        replying = { discussion: note.discussion, name: note.author.name };
        drawReply();
        $("body").focus();
      },
    }));
  }
  if (!note.system && note.author?.id === view.as) {
    buttons.push(make("button", "Edit", {
      type: "button",
      className: "quiet",
      onclick: () => {
        editing = note.id;
        drawn.delete(note.id);
        drawThread(shown);
        $(`edit-${note.id}`).focus();
      },
    }));
  }
  return make("span", buttons, { className: "actions" });
}

function reactions(awards) {
  const byName = Map.groupBy(awards, (award) => award.name);
  return [...byName].map(([name, given]) =>
    make("span", `${EMOJI[name] ?? `:${name}:`} ${given.length}`, {
      className: "reaction",
      title: `${name}: ${given.map((award) => award.by).join(", ")}`,
    }));
}

function comment(note) {
  const author = note.author ?? { name: "Somebody" };
  const head = [
    make("span", author.name, { className: "author" }),
    make("span", `@${author.username}`, { className: "handle" }),
    author.bot ? badge("Bot", "bot") : "",
    author.role ? badge(author.role, "role") : "",
    note.internal ? badge("Internal note", "internal") : "",
    time(note.created_at),
    note.edited_by ? make("span", "edited", { className: "handle", title: `by ${note.edited_by}` }) : "",
    actions(note),
  ].filter((part) => part !== "");
  if (note.system) {
    const text = make("p", [make("span", author.name, { className: "author" }), ` ${note.body} `, time(note.created_at)]);
    return make("li", text, { className: "system" });
  }
  const avatar = make("span", author.name.replace(/^.* /, "").slice(0, 1), { className: "avatar", ariaHidden: "true" });
  if (author.bot) avatar.classList.add("bot");
  const body = editing === note.id ? editor(note) : make("div", render(note.body), { className: "text" });
  const box = make("div", [make("p", head, { className: "comment-head" }), body], { className: "comment" });
  if (note.awards.length) box.append(make("p", reactions(note.awards), { className: "reactions" }));
  const kind = `note${note.reply ? " reply" : ""}${note.internal ? " internal" : ""}`;
  return make("li", [avatar, box], { className: kind, id: `note_${note.id}` });
}

function drawThread(state) {
  const notes = state.issue?.notes ?? [];
  const threads = Map.groupBy(notes, (note) => note.discussion);
  const nodes = [...threads.values()].flatMap((thread) => thread.map((note, index) => {
    const json = JSON.stringify([note, index > 0, view.as]);
    const known = drawn.get(note.id);
    if (known && (known.json === json || editing === note.id)) return known.node;
    const node = comment({ ...note, reply: index > 0 });
    if (known === undefined && shown !== null) node.classList.add("new");
    drawn.set(note.id, { json, node });
    return node;
  }));
  const list = $("thread");
  nodes.forEach((node, index) => {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
  while (list.children.length > nodes.length) list.lastChild.remove();
}

function drawReply() {
  $("replying").hidden = replying === null;
  $("replying-to").textContent = replying ? `In reply to ${replying.name}` : "";
}

function drawIssue(issue) {
  $("reference").textContent = issue.reference;
  $("title").textContent = issue.title;
  document.title = `${issue.title} · Sandbox tracker`;
  const badges = [badge(issue.open ? "Open" : "Closed", "open"), badge(issue.visibility, "role")];
  if (issue.confidential) badges.push(badge("Confidential", "internal"));
  $("issue-badges").replaceChildren(...badges);
  $("issue-meta").hidden = !issue.readable;
  $("issue-meta").replaceChildren("Opened by ", make("strong", issue.author?.name ?? "somebody"), " at ", time(issue.created_at));
  const text = issue.readable
    ? issue.description
    : "GitLab answers this person with **404**, as if there were no such issue. Choose somebody else below.";
  $("description").replaceChildren(...render(text));
  $("hidden-count").hidden = issue.hidden === 0;
  $("hidden-count").textContent = `${issue.hidden} more that this person may not read.`;
  const internal = $("internal");
  internal.disabled = !issue.insider;
  if (!issue.insider) internal.checked = false;
}

function duration(ms) {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

function drawDeliveries(deliveries) {
  $("no-log").hidden = deliveries.length > 0;
  $("deliveries").replaceChildren(...deliveries.map((sent) => {
    const good = sent.status >= 200 && sent.status < 400;
    return make("li", [
      badge(String(sent.status ?? "failed"), good ? "open" : "bad"),
      make("span", [`${sent.event}`, make("small", [sent.by ? `${sent.by}, ` : "", time(sent.at)])], { className: "what" }),
      make("span", duration(sent.ms), { className: "ms", title: sent.error ?? "" }),
    ]);
  }));
  const own = deliveries.find((sent) => awaited !== null && sent.note === awaited);
  if (own) {
    awaited = null;
    if (own.status === null) say(`Webhook failed: ${own.error}`, "bad");
    else say(`Webhook answered ${own.status} in ${duration(own.ms)}.`, own.status < 400 ? "good" : "bad");
  }
}

function drawChips(bot) {
  const examples = [
    "/add_contacts ada@example.com",
    `@${bot} create_contact zoe@example.com Zoe Winter`,
    `@${bot} contacts`,
    `@${bot} remove_contacts ada@example.com`,
    "/crm undo",
    "/crm help",
  ];
  if ($("chips").childElementCount) return;
  $("chips").replaceChildren(...examples.map((text) =>
    make("button", text, {
      type: "button",
      className: "chip",
      onclick: () => {
        $("body").value = text;
        $("body").focus();
      },
    })));
}

function draw(state) {
  fill($("issue"), state.issues.map((issue) => [issue.id, `${issue.reference} ${issue.title}`]), view.issue);
  fill($("as"), state.people.map((person) => [person.id, `${person.name} (${person.role ?? "no member"})`]), view.as);
  if (state.issue) drawIssue(state.issue);
  drawThread(state);
  drawDeliveries(state.deliveries);
  drawChips(state.bot ?? "liaison");
  shown = state;
}

let loading = false;
let again = false;

// At most one request at a time; changes that arrive meanwhile are fetched by one more.
async function load() {
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  try {
    do {
      again = false;
      const query = new URLSearchParams();
      for (const [key, value] of Object.entries(view)) if (value !== null) query.set(key, value);
      if (view.issue === null) query.set("path", location.pathname);
      const state = await (await fetch(`/sandbox/state?${query}`)).json();
      if (view.as === null) view.as = state.viewer;
      if (view.issue === null) view.issue = state.issue?.id ?? null;
      draw(state);
    } while (again);
  } catch {
    $("live").textContent = "offline";
    $("live").className = "live off";
  } finally {
    loading = false;
  }
}

function look(change) {
  view = { ...view, ...change };
  replying = null;
  editing = null;
  shown = null;
  drawn.clear();
  drawReply();
  load();
}

$("issue").addEventListener("change", (event) => look({ issue: Number(event.target.value) }));
$("as").addEventListener("change", (event) => look({ as: Number(event.target.value) }));
$("cancel-reply").addEventListener("click", () => {
  replying = null;
  drawReply();
});
$("body").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("compose").requestSubmit();
});
$("compose").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("send").disabled = true;
  try {
    const { note } = await post("/sandbox/comment", {
      issue: view.issue,
      as: view.as,
      body: $("body").value,
      internal: $("internal").checked,
      discussion: replying?.discussion ?? null,
    });
    $("body").value = "";
    replying = null;
    drawReply();
    awaited = shown?.hooks ? note : null;
    say(shown?.hooks ? "Sent; waiting for the webhook" : "Posted. No webhook is installed yet, so nobody was told.");
    await load();
  } catch (error) {
    say(error.message, "bad");
  } finally {
    $("send").disabled = false;
  }
});

const events = new EventSource("/sandbox/events");
events.addEventListener("open", () => {
  $("live").textContent = "live";
  $("live").className = "live on";
});
events.addEventListener("error", () => {
  $("live").textContent = "reconnecting";
  $("live").className = "live off";
});
events.addEventListener("change", load);
load();
