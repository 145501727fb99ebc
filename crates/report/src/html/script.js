
"use strict";
// Turns the pages of long lists. Rows are made from the document in this file, as nodes with texts: nothing of them is
// ever read as markup.
(() => {
  const SHOWN = 160, CONTEXT = 12;
  const HOSTILE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]/u;
  const HOSTILES = new RegExp(HOSTILE.source, "gu");
  const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  let report = null;
  const stored = () => report ??= JSON.parse(document.getElementById("report").textContent);
  const grouped = (number) => number.toLocaleString("en-US");

  const element = (tag, name, ...children) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...children);
    return made;
  };
  const escaped = (c) => NAMED[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`;
  // A text with what cannot be seen written out and marked.
  const safe = (text) => {
    const parts = [];
    let from = 0;
    for (const found of text.matchAll(HOSTILES)) {
      parts.push(text.slice(from, found.index), element("i", "x", escaped(found[0])));
      from = found.index + found[0].length;
    }
    parts.push(text.slice(from));
    return parts;
  };
  const written = (value) => {
    if (typeof value !== "string") return String(value);
    const odd = value === "" || value === "NULL" || value.startsWith('"') || value !== value.trim() || HOSTILE.test(value);
    return odd ? `"${value.replace(/["\\]/g, "\\$&").replace(HOSTILES, escaped)}"` : value;
  };
  const length = (count) => element("i", "cut", `… ${grouped(count)} characters`);
  const show = (value) => {
    if (value === null) return [element("i", "null", "NULL")];
    const text = written(value), points = [...text.slice(0, 2 * SHOWN + 2)];
    if (points.length <= SHOWN) return safe(text);
    return [...safe(points.slice(0, SHOWN).join("")), length([...text].length)];
  };
  const pairs = (object) => Object.entries(object).map(([name, value]) =>
    element("span", "kv", element("span", "k", ...safe(name)), "=", ...show(value)));
  const marked = (text, before, behind) => {
    const long = text.length > SHOWN, end = text.length - behind, middle = Math.min(end, before + SHOWN);
    const skip = long ? Math.max(0, before - CONTEXT) : 0, tail = long ? Math.min(end + CONTEXT, text.length) : text.length;
    const parts = skip > 0 ? [element("i", "cut", "…")] : [];
    parts.push(...safe(text.slice(skip, before).join("")), element("mark", "", ...safe(text.slice(before, middle).join(""))));
    if (middle === end) parts.push(...safe(text.slice(end, tail).join("")));
    if (middle < end || tail < text.length) parts.push(length(text.length));
    return parts;
  };
  const two = (source, replica) => {
    if (source === undefined || replica === undefined) {
      return [source, replica].map((one) =>
        element("td", "d c", ...(one === undefined ? [element("i", "cut", "not read")] : show(one))));
    }
    const a = [...written(source)], b = [...written(replica)], least = Math.min(a.length, b.length);
    let before = 0, behind = 0;
    while (before < least && a[before] === b[before]) before++;
    while (behind < least - before && a[a.length - 1 - behind] === b[b.length - 1 - behind]) behind++;
    return [[source, a], [replica, b]].map(([one, text]) =>
      element("td", "d c", ...(one === null ? show(one) : marked(text, before, behind))));
  };
  const whole = (object, absent) => Object.keys(object).length === 0
    ? element("td", "d", element("i", "null", absent)) : element("td", "d c", ...pairs(object));
  const CLASSES = ["lost", "extra", "changed"];

  const rows = (item) => {
    const changed = item.class === "changed";
    const named = !changed ? [] : item.columns.length ? item.columns
      : [...new Set([...Object.keys(item.source), ...Object.keys(item.replica)])];
    const kind = element("td", "class", element("span", `cl ${CLASSES.includes(item.class) ? item.class : "other"}`, item.class));
    if (item.proof !== "proven") kind.append(element("div", "sub", item.proof.replaceAll("_", " ")));
    const key = element("td", "key", ...(Object.keys(item.key).length ? pairs(item.key) : [element("i", "cut", "no key")]));
    if (item.copies > 1) key.append(element("span", "tag", `${grouped(item.copies)} copies`));
    for (const more of [item.place, item.note]) if (more) key.append(element("div", "sub", ...safe(more)));
    kind.rowSpan = key.rowSpan = Math.max(1, named.length);
    const first = element("tr", "first", kind, key);
    if (changed && named.length) {
      return named.map((name, number) => {
        const row = number === 0 ? first : element("tr", "");
        row.append(element("td", "col", ...safe(name)), ...two(item.source[name], item.replica[name]));
        return row;
      });
    }
    const lost = item.class === "lost", extra = item.class === "extra";
    first.append(element("td", "col", element("i", "cut", changed ? "not named" : "whole row")),
      whole(item.source, extra ? "not there" : "not read"), whole(item.replica, lost ? "lost" : "not read"));
    return [first];
  };

  const list = (place) => {
    const [link, check, member] = place.dataset.path.split("."), size = Number(place.dataset.size);
    const body = place.querySelector("tbody"), still = place.querySelector(".static");
    let all = null, chosen = null, at = 0, typed = 0;
    const kinds = element("select", "", ...["all classes", ...CLASSES].map((name) => new Option(name, name)));
    kinds.setAttribute("aria-label", "Class");
    const words = element("input", "");
    words.type = "search";
    words.placeholder = "Find a key or a value";
    words.setAttribute("aria-label", "Find a key or a value");
    const back = element("button", "", "Previous"), on = element("button", "", "Next"), where = element("output", "");
    back.type = on.type = "button";
    const draw = () => {
      const last = Math.max(0, Math.ceil(chosen.length / size) - 1);
      at = Math.min(Math.max(at, 0), last);
      const part = chosen.slice(at * size, (at + 1) * size);
      body.replaceChildren(...part.flatMap(rows));
      const from = chosen.length ? at * size + 1 : 0;
      where.value = `${grouped(from)} to ${grouped(at * size + part.length)} of ${grouped(chosen.length)}`;
      back.disabled = at === 0;
      on.disabled = at === last;
      still?.remove();
    };
    const load = () => {
      all ??= stored().links[link].checks[check][member];
      chosen ??= all;
    };
    const choose = () => {
      load();
      const kind = kinds.selectedIndex ? kinds.value : null, text = words.value.trim().toLowerCase();
      chosen = all.filter((item) => (!kind || item.class === kind)
        && (!text || JSON.stringify([item.key, item.source, item.replica, item.place ?? ""]).toLowerCase().includes(text)));
      at = 0;
      draw();
    };
    const turn = (step) => () => { load(); at += step; draw(); };
    kinds.addEventListener("change", choose);
    words.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(choose, 150); });
    back.addEventListener("click", turn(-1));
    on.addEventListener("click", turn(1));
    back.disabled = true;
    where.value = place.querySelector(".static")?.textContent.split(" are ")[0] ?? "";
    place.prepend(element("div", "bar", kinds, words, back, on, where));
  };
  for (const place of document.querySelectorAll(".rows")) {
    if (place.querySelector(".static")) list(place);
  }
})();
