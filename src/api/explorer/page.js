"use strict";

const element = (id) => document.getElementById(id);
let schema = "";

// The token stays in the page: it is neither stored nor put into an address.
async function run() {
  const answer = element("answer");
  let variables;
  try {
    variables = JSON.parse(element("variables").value || "{}");
  } catch (error) {
    answer.textContent = `The variables are no JSON: ${error.message}`;
    return;
  }
  const headers = { "Content-Type": "application/json" };
  const token = element("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  answer.textContent = "…";
  try {
    const body = JSON.stringify({ query: element("query").value, variables });
    const response = await fetch("/api/graphql", { method: "POST", headers, body });
    answer.textContent = JSON.stringify(await response.json(), null, 2);
  } catch (error) {
    answer.textContent = `There was no answer: ${error.message}`;
  }
}

// Shows the definitions that have the word, or all.
function find() {
  const word = element("find").value.trim().toLowerCase();
  const parts = schema.split(/\n\n(?=\S)/);
  const found = word ? parts.filter((part) => part.toLowerCase().includes(word)) : parts;
  element("schema").textContent = found.join("\n\n") || "Nothing is called so.";
}

element("run").addEventListener("click", run);
element("find").addEventListener("input", find);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
});
fetch("/-/graphql-explorer/schema.graphql")
  .then((response) => response.text())
  .then((text) => {
    schema = text;
    find();
  });
