"use strict";

const element = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

const shape = (schema, schemas, depth = 0) => {
  if (!schema) return "";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > 3 ? name : shape(schemas[name], schemas, depth + 1);
  }
  const choices = (schema.oneOf || schema.anyOf || []).filter((s) => s.type !== "null");
  if (choices.length) return choices.map((s) => shape(s, schemas, depth)).join(" | ");
  if (schema.allOf) {
    const parts = schema.allOf.map((s) => shape(s, schemas, depth));
    return parts.every((p) => p && typeof p === "object" && !Array.isArray(p)) ? Object.assign({}, ...parts) : parts;
  }
  if (schema.enum) return schema.enum.join(" | ");
  const type = Array.isArray(schema.type) ? schema.type.join(" | ") : schema.type;
  if (schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([k, s]) => [k, shape(s, schemas, depth + 1)]));
  }
  if (schema.items) return [shape(schema.items, schemas, depth + 1)];
  return schema.format ? `${type} (${schema.format})` : type || "any";
};

const block = (title, schema, schemas) => [
  element("p", { class: "dim" }, title),
  element("pre", {}, JSON.stringify(shape(schema, schemas), null, 2)),
];

const operation = (method, path, op, schemas) => {
  const body = element("div", { class: "body" });
  if (op.description) body.append(element("p", {}, op.description));
  if (op.parameters?.length) {
    const rows = op.parameters.map((p) =>
      element("tr", {}, element("td", {}, element("code", {}, p.name)), element("td", { class: "dim" }, p.in),
        element("td", {}, p.description || "")));
    body.append(element("table", {}, element("tbody", {}, ...rows)));
  }
  const request = op.requestBody?.content && Object.values(op.requestBody.content)[0];
  if (request) body.append(...block("Request", request.schema, schemas));
  for (const [status, response] of Object.entries(op.responses || {})) {
    const content = response.content && Object.values(response.content)[0];
    if (content && status < 400) body.append(...block(`Answer ${status}`, content.schema, schemas));
    else if (status >= 400) body.append(element("span", { class: "dim" }, `${status} `));
  }
  return element("details", {},
    element("summary", {}, element("span", { class: "method" }, method), element("code", {}, path),
      element("span", { class: "dim" }, op.summary || "")), body);
};

const main = document.getElementById("main");
// The key that the console was signed in with, in this tab or on this device (web/src/lib/key.ts).
const signedIn = () => {
  try {
    const key = sessionStorage.getItem("roadlake.key") || localStorage.getItem("roadlake.key");
    return key ? { authorization: `Bearer ${key}` } : {};
  } catch {
    return {};
  }
};
const why = (status) => new Error(status === 401 ? "sign in to the console, then come here by its link" : `HTTP ${status}`);
fetch("/v1/openapi.json", { headers: signedIn() })
  .then((response) => (response.ok ? response.json() : Promise.reject(why(response.status))))
  .then((api) => {
    const groups = new Map();
    for (const [path, operations] of Object.entries(api.paths)) {
      for (const [method, op] of Object.entries(operations)) {
        const tag = op.tags?.[0] || "other";
        if (!groups.has(tag)) groups.set(tag, []);
        groups.get(tag).push(operation(method, path, op, api.components?.schemas || {}));
      }
    }
    main.replaceChildren();
    for (const [tag, nodes] of groups) main.append(element("h2", {}, tag), ...nodes);
  })
  .catch((error) => main.replaceChildren(element("p", {}, `The description cannot be read: ${error.message}`)));
