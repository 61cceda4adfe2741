// Shows a chat of the sandbox messenger, and lets one write, add and remove people as anybody.

import { render } from "./markdown.js";

const element = (id) => document.getElementById(id);
// A link to a chat names it behind the #, as links for Element do.
const linked = location.hash.match(/^#\/room\/([^?]+)/);
const chosen = { as: null, room: linked && decodeURIComponent(linked[1]) };
let shown = null;

const examples = ["!crm observers", "!crm add_observers @rita", "!crm remove_observers @rita", "!crm responsible @dan", "!crm help"];

function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function fill(select, options, value) {
  const same = select.options.length === options.length
    && options.every((option, place) => select.options[place].value === option.id && select.options[place].text === option.name);
  if (!same) {
    select.replaceChildren(...options.map((option) => {
      const made = make("option", option.name);
      made.value = option.id;
      return made;
    }));
  }
  if (value) select.value = value;
}

function time(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

function entry(event) {
  if (event.notice) return make("li", `${event.notice} · ${time(event.at)}`, "system");
  const item = make("li", undefined, event.answers ? "note reply" : "note");
  const avatar = make("span", event.by.slice(0, 1), "avatar");
  avatar.ariaHidden = "true";
  const head = make("p", undefined, "comment-head");
  head.append(make("span", event.by, "author"), make("time", time(event.at)));
  const text = make("div", undefined, "text");
  text.append(...render(event.text));
  const comment = make("div", undefined, "comment");
  comment.append(head, text);
  item.append(avatar, comment);
  return item;
}

function member(one) {
  const item = make("li");
  const marks = [one.bot && "bot", one.leads && "admin", one.invited && "invited"].filter(Boolean);
  item.append(one.name, marks.length ? ` (${marks.join(", ")}) ` : " ");
  if (one.removable) {
    const button = make("button", one.id === chosen.as ? "Leave" : "Remove", "quiet");
    button.type = "button";
    button.addEventListener("click", () => act("remove", { who: one.id }));
    item.append(button);
  }
  return item;
}

async function act(what, more) {
  const answer = await fetch(`/sandbox/${what}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ as: chosen.as, room: shown?.id ?? "", ...more }),
  });
  const said = await answer.json();
  element("status").textContent = said.error ? `Refused: ${said.error}` : "Done.";
  return said.error ? undefined : said;
}

async function refresh() {
  const query = new URLSearchParams();
  if (chosen.as) query.set("as", chosen.as);
  if (chosen.room) query.set("room", chosen.room);
  const state = await (await fetch(`/sandbox/state?${query}`)).json();
  chosen.as = state.viewer;
  shown = state.room;
  fill(element("as"), state.people, state.viewer);
  fill(element("room"), state.rooms, shown?.id);
  element("title").textContent = shown?.name ?? "There is no chat yet";
  element("outside").hidden = !shown || shown.in;
  element("thread").replaceChildren(...(shown?.events ?? []).map(entry));
  element("members").replaceChildren(...(shown?.members ?? []).map(member));
  const there = new Set((shown?.members ?? []).map((one) => one.id));
  fill(element("who"), state.people.filter((one) => !there.has(one.id)));
  element("adding").hidden = !shown?.inviting;
  element("send").disabled = !shown?.writable;
}

element("as").addEventListener("change", (event) => { chosen.as = event.target.value; refresh(); });
element("room").addEventListener("change", (event) => { chosen.room = event.target.value; refresh(); });
element("direct").addEventListener("click", async () => {
  const made = await act("direct", {});
  if (made) chosen.room = made.room;
  refresh();
});
element("adding").addEventListener("submit", (event) => {
  event.preventDefault();
  act("add", { who: element("who").value });
});
element("compose").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await act("say", { text: element("body").value })) element("body").value = "";
});
element("body").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.ctrlKey) element("compose").requestSubmit();
});
element("chips").replaceChildren(...examples.map((text) => {
  const chip = make("button", text, "chip");
  chip.type = "button";
  chip.addEventListener("click", () => { element("body").value = text; element("body").focus(); });
  return chip;
}));

const live = element("live");
const events = new EventSource("/sandbox/events");
events.addEventListener("open", () => { live.textContent = "live"; live.className = "live on"; });
events.addEventListener("error", () => { live.textContent = "disconnected"; live.className = "live off"; });
events.addEventListener("message", refresh);
refresh();
