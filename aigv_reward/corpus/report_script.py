"""What plays a report's clips, sorts its tables and shows its videos, a page of them at a time."""

from __future__ import annotations

from typing import Final

# Whatever comes from a run is set as text or as a property, never as markup.
SCRIPT: Final = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const collator = new Intl.Collator("en", {numeric: true});
const make = (tag, facts = {}, ...inside) => {
  const made = Object.assign(document.createElement(tag), facts);
  made.append(...inside);
  return made;
};

for (const frame of document.querySelectorAll("button[data-preview]")) {
  let video = null;
  const stop = () => { if (video) { video.remove(); video = null; } };
  const play = () => {
    if (video) return;
    video = make("video", {src: data.previews[frame.dataset.preview][1], muted: true, loop: true});
    video.playsInline = true;
    frame.append(video);
    video.play().catch(() => {});
  };
  frame.addEventListener("pointerenter", play);
  frame.addEventListener("focus", play);
  frame.addEventListener("click", play);
  frame.addEventListener("pointerleave", stop);
  frame.addEventListener("blur", stop);
}

const sortable = (head, name, numeric, sort) => {
  const button = make("button", {textContent: name});
  head.replaceChildren(button);
  if (numeric) head.className = "n";
  button.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    sort(up ? 1 : -1);
  });
};

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const numeric = head.classList.contains("n");
    const key = row => row.cells[at].dataset.key ?? row.cells[at].textContent;
    sortable(head, head.textContent, numeric, way => body.append(...[...body.rows].sort((a, b) =>
      (key(a) === "") - (key(b) === "")
      || way * (numeric ? key(a) - key(b) : collator.compare(key(a), key(b))))));
  });
}

const PAGE = 50;
const columns = Object.fromEntries(data.columns.map(column => [column.name, column]));
const total = data.files.length;
const value = (column, row) => {
  const found = column.values[row];
  return found === null || !column.texts ? found : column.texts[found];
};
const keys = column => {
  if (!column.texts) return column.values;
  if (!column.ranks) {
    const order = column.texts.map((_, at) => at)
      .sort((a, b) => collator.compare(column.texts[a], column.texts[b]));
    column.ranks = [];
    order.forEach((at, rank) => { column.ranks[at] = rank; });
  }
  return column.values.map(at => at === null ? null : column.ranks[at]);
};
let order = [...Array(total).keys()], rows = order, start = 0;

const clip = row => {
  const file = data.files[row] === null ? null : data.base + data.files[row];
  const preview = data.previews[value(columns["#"], row)];
  const told = make("p", {className: "soft"});
  const facts = make("div", {}, told);
  const box = make("div", {className: "open"}, facts);
  if (preview || file) {
    const source = preview ? preview[1] : file;
    const video = make("video", {src: source, controls: true, muted: true, loop: true});
    video.playsInline = true;
    video.addEventListener("error", () => {
      told.textContent = "No clip: the file is not there any more, or the browser cannot play it.";
    });
    box.prepend(video);
    video.play().catch(() => {});
    told.textContent = preview ? "The middle of the clip, in small." : "The file itself.";
  } else told.textContent = "This video is no file of its own, and the page holds no part of it.";
  if (file) told.append(" ", make("a", {href: file, textContent: "Open the file"}));
  for (const name of ["video", "prompt", "reason"]) {
    const text = value(columns[name], row);
    if (text !== null) facts.append(make("p", {className: "name", textContent: text}));
  }
  return box;
};

const cell = (column, row) => {
  const found = value(column, row);
  if (!column.texts) {
    const text = found === null ? "" : found.toFixed(column.digits);
    return make("td", {className: "n", textContent: text});
  }
  const text = make("span", {className: "name short", textContent: found ?? ""});
  if (column.name === "verdict") text.className = "tag " + found;
  if (column.name !== "video") return make("td", {}, text);
  const button = make("button", {className: "clip"}, text);
  const still = data.previews[value(columns["#"], row)]?.[0];
  button.prepend(still ? make("img", {src: still, alt: ""}) : make("span", {className: "none"}));
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    const line = button.closest("tr"), next = line.nextElementSibling;
    const opened = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!opened));
    if (opened) next.remove();
    else line.after(make("tr", {className: "opened"},
      make("td", {colSpan: data.columns.length}, clip(row))));
  });
  return make("td", {}, button);
};

const search = make("input", {type: "search", placeholder: "Search"});
search.setAttribute("aria-label", "Search");
const verdict = make("select", {}, make("option", {value: "", textContent: "every verdict"}),
  ...columns.verdict.texts.map(text => make("option", {value: text, textContent: text})));
verdict.setAttribute("aria-label", "Verdict");
const counted = make("span", {className: "soft"});
const back = make("button", {className: "step", textContent: "Back"});
const next = make("button", {className: "step", textContent: "Next"});
const body = make("tbody"), heads = make("tr");

const show = () => {
  const some = rows.slice(start, start + PAGE);
  body.replaceChildren(...some.map(row =>
    make("tr", {}, ...data.columns.map(column => cell(column, row)))));
  const end = start + some.length, all = rows.length.toLocaleString("en");
  counted.textContent = rows.length ? `${start + 1} to ${end} of ${all}` : "none";
  back.disabled = start === 0;
  next.disabled = end >= rows.length;
};
const choose = () => {
  const wanted = search.value.toLowerCase();
  const texts = data.columns.filter(column => column.texts);
  const hits = texts.map(column => column.texts.map(text => text.toLowerCase().includes(wanted)));
  const code = verdict.value === "" ? null : columns.verdict.texts.indexOf(verdict.value);
  rows = order.filter(row => (code === null || columns.verdict.values[row] === code)
    && (wanted === "" || texts.some((column, at) => hits[at][column.values[row]])));
  start = 0;
  show();
};
data.columns.forEach(column => {
  const head = make("th", {scope: "col"});
  heads.append(head);
  sortable(head, column.name, !column.texts, way => {
    const key = keys(column);
    order = [...Array(total).keys()].sort((a, b) => (key[a] === null) - (key[b] === null)
      || way * (key[a] - key[b]) || a - b);
    choose();
  });
});
search.addEventListener("input", choose);
verdict.addEventListener("change", choose);
back.addEventListener("click", () => { start -= PAGE; show(); });
next.addEventListener("click", () => { start += PAGE; show(); });
document.getElementById("videos").replaceChildren(
  make("div", {className: "tools"}, search, verdict, counted, back, next),
  make("div", {className: "wide"},
    make("table", {}, make("thead", {}, heads), body)));
show();
"""
