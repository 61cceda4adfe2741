// What htmx does not do. Every page works without it.
"use strict";

// A form that waited while somebody signed in goes on by itself.
for (const form of document.querySelectorAll("form[data-send-at-once]")) form.requestSubmit();

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
});
// Back from the next page, it may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// One box ticks all rows of the page.
document.addEventListener("change", (event) => {
  if (!event.target.matches?.("[data-tick-all]")) return;
  for (const box of event.target.form.querySelectorAll("[name=item]")) box.checked = event.target.checked;
});

// What is shown once is copied with a click. Where the browser does not let pages copy, it is selected.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    await navigator.clipboard?.writeText(field.value).then(() => { button.textContent = "Copied"; }, () => {});
  });
}

// A text field with suggestions, after the combobox pattern of the ARIA practices: arrows choose, Enter takes, Escape closes.
const comboboxes = () => {
  for (const field of document.querySelectorAll("[data-combobox]:not(:has([role=combobox]))")) combobox(field);
};
comboboxes();
document.addEventListener("htmx:afterSettle", comboboxes);

function combobox(field) {
  const input = field.querySelector("input");
  const list = document.createElement("ul");
  list.id = `${input.id}-options`;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", field.querySelector("label").textContent.trim());
  list.hidden = true;
  input.after(list);
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "false"], ["aria-controls", list.id]]) {
    input.setAttribute(name, value);
  }
  let asked = 0;
  let timer;

  const options = () => [...list.children];
  const chosen = () => options().find((option) => option.getAttribute("aria-selected") === "true");
  const open = (shown) => {
    list.hidden = !shown;
    input.setAttribute("aria-expanded", String(shown));
    if (!shown) input.removeAttribute("aria-activedescendant");
  };
  const choose = (option) => {
    for (const other of options()) other.setAttribute("aria-selected", String(other === option));
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  };
  const take = (option) => {
    // Where several may be named, what was chosen before stays.
    const before = "several" in field.dataset ? input.value.replace(/[^,\s]*$/, "") : "";
    input.value = before + option.dataset.value;
    open(false);
  };
  const ask = async () => {
    const turn = ++asked;
    const address = `${field.dataset.combobox}?${new URLSearchParams({ q: input.value })}`;
    const answer = await fetch(address, { headers: { "HX-Request": "true" } }).catch(() => undefined);
    // A slow answer to an earlier text is of no use any more.
    if (!answer?.ok || turn !== asked || document.activeElement !== input) return;
    list.innerHTML = await answer.text();
    options().forEach((option, place) => {
      option.id = `${list.id}-${place}`;
      option.setAttribute("aria-selected", "false");
    });
    open(list.children.length > 0);
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 150);
  });
  input.addEventListener("keydown", (event) => {
    const all = options();
    const place = all.indexOf(chosen());
    if (event.key === "ArrowDown" && list.hidden) ask();
    else if (list.hidden) return;
    else if (event.key === "ArrowDown") choose(all[(place + 1) % all.length]);
    else if (event.key === "ArrowUp") choose(all[(place <= 0 ? all.length : place) - 1]);
    else if (event.key === "Enter" && place >= 0) take(all[place]);
    else if (event.key === "Escape") open(false);
    else return;
    event.preventDefault();
  });
  // Before the field loses the focus, so that a click counts.
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const option = event.target.closest("[role=option]");
    if (option) take(option);
  });
  input.addEventListener("blur", () => {
    ++asked;
    open(false);
  });
}

// What changed elsewhere is shown without a reload: the page asks for itself and takes the part that listens. A page that is not looked
// at does not listen, since a browser opens few connections to one place.
let told;
let later;
const isBusy = (part) =>
  part.contains(document.activeElement) || part.querySelector("details[open], [role=listbox]:not([hidden])") ||
  [...part.querySelectorAll("input:not([type=hidden]), textarea")].some((field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked);
const listen = () => {
  const part = document.querySelector("[data-live]");
  told?.close();
  told = undefined;
  if (!part || document.hidden) return;
  told = new EventSource(part.dataset.live);
  told.addEventListener("change", refresh);
};
const refresh = () => {
  const part = document.querySelector("[data-live]");
  clearTimeout(later);
  if (!part) return;
  // Nobody is interrupted who is about to do something; what changed is shown when he is done.
  if (isBusy(part)) {
    later = setTimeout(refresh, 2000);
    return;
  }
  const headers = { "X-Refresh": "yes" };
  htmx.ajax("GET", location.href, { target: `#${part.id}`, select: `#${part.id}`, swap: "outerHTML", headers });
};
// Neither is somebody who began while the page was on its way.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { requestConfig, target } = event.detail;
  if (!requestConfig.headers["X-Refresh"] || !isBusy(target)) return;
  event.detail.shouldSwap = false;
  later = setTimeout(refresh, 2000);
});
// What comes of a form whose fields stay is shown above it: a report, or the page that came instead of one.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id !== "came") return;
  detail.shouldSwap = true;
  if (!detail.serverResponse.includes('id="came"')) detail.selectOverride = "main > *";
});
document.addEventListener("htmx:sendError", ({ detail }) => {
  const said = document.getElementById("no-answer");
  if (detail.target.id === "came") detail.target.replaceChildren(said.content.cloneNode(true));
});
listen();
document.addEventListener("visibilitychange", () => {
  listen();
  if (!document.hidden) refresh();
});
