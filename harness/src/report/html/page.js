"use strict";
(() => {
  document.documentElement.classList.add("js");
  const $ = (what, from = document) => [...from.querySelectorAll(what)];

  // What a column is sorted by: a number where its cells are numbers.
  const value = (cell) => {
    const text = cell.dataset.v ?? cell.textContent.trim();
    const number = Number.parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? text : number;
  };
  const order = (a, b) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return typeof a === "number" ? a - b : a.localeCompare(b);
  };
  const sort = (head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = head.closest("table").tBodies[0];
    const at = head.cellIndex;
    const rows = [...body.rows].map((row) => [value(row.cells[at]), row]);
    rows.sort(([a], [b]) => (down ? order(b, a) : order(a, b)));
    body.append(...rows.map(([, row]) => row));
  };
  for (const head of $("table.sort th")) {
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sort(head);
    });
  }

  // Filtering: by words, and by the outcomes or statuses whose buttons are pressed.
  const box = document.getElementById("sift");
  const told = document.getElementById("sifted");
  const rows = $("[data-of]");
  // Gathered when first asked for: a page opens without it.
  const texts = new Map();
  const textOf = (row) => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };
  const buttons = $("button[data-only]");
  const sift = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = buttons
      .filter((button) => button.getAttribute("aria-pressed") === "true")
      .map((button) => button.dataset.only);
    let shown = 0;
    for (const row of rows) {
      const fits =
        words.every((word) => textOf(row).includes(word)) &&
        (only.length === 0 || only.includes(row.dataset.of));
      row.hidden = !fits;
      shown += fits;
    }
    const all = shown === rows.length;
    told.textContent = all ? "" : `${shown} of ${rows.length}`;
  };
  box.addEventListener("input", sift);
  for (const button of buttons) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!on));
      sift();
    });
  }

  // A link to a splat opens what it lies in.
  const follow = () => {
    const to = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!to) return;
    for (let at = to; at; at = at.parentElement) {
      at.hidden = false;
      if (at.tagName === "DETAILS") at.open = true;
    }
    to.scrollIntoView();
  };
  addEventListener("hashchange", follow);

  // `?q=words` and `?sort=column` come with a link.
  const asked = new URLSearchParams(location.search);
  box.value = asked.get("q") ?? "";
  if (box.value) sift();
  const by = asked.get("sort");
  if (by) {
    const heads = $("table.sort th").filter((head) => head.textContent === by);
    if (heads[0]) sort(heads[0]);
  }
  follow();
})();
