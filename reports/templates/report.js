"use strict";
// The page is complete without this: it only sorts, filters, copies, and opens what is folded before printing.
(() => {
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const rowsOf = (table) => [...table.tBodies[0].rows];
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));

  const sort = (table, column, header) => {
    const down = header.ariaSort === "ascending";
    for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
    header.ariaSort = down ? "descending" : "ascending";
    const rows = rowsOf(table).sort((a, b) => compare(valueOf(a, column), valueOf(b, column)));
    table.tBodies[0].append(...(down ? rows.reverse() : rows));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const button = make("button", { type: "button" }, ...header.childNodes);
      button.addEventListener("click", () => sort(table, column, header));
      header.append(button);
    });
  }

  for (const tools of document.querySelectorAll(".tools")) {
    const rows = rowsOf(document.getElementById(tools.dataset.for));
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const kinds = [...new Set(rows.map((row) => row.dataset.verdict))].sort();
    const words = make("input", { type: "search", autocomplete: "off" });
    const verdict = make("select", {}, make("option", { value: "" }, "every verdict"));
    verdict.append(...kinds.map((kind) => make("option", { value: kind }, kind)));
    const shown = make("output");
    const apply = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const row of rows) {
        const text = texts.get(row);
        const fits = (!verdict.value || row.dataset.verdict === verdict.value) && wanted.every((word) => text.includes(word));
        row.hidden = !fits;
        count += fits;
      }
      const all = `${rows.length} ${tools.dataset.noun}${rows.length === 1 ? "" : "s"}`;
      shown.value = count === rows.length ? all : `${count} of ${all}`;
    };
    words.addEventListener("input", apply);
    verdict.addEventListener("change", apply);
    tools.append(make("label", {}, "Find", words), make("label", {}, "Show", verdict), shown);
    tools.hidden = false;
    apply();
  }

  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = !navigator.clipboard;
    const label = button.textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not copied: the browser refused";
      }
      setTimeout(() => (button.textContent = label), 2000);
    });
  }

  const openForPrint = () => {
    for (const fold of document.querySelectorAll("details:not([open])")) {
      fold.open = true;
      fold.dataset.printed = "";
    }
  };
  const closeAgain = () => {
    for (const fold of document.querySelectorAll("details[data-printed]")) {
      fold.open = false;
      delete fold.dataset.printed;
    }
  };
  addEventListener("beforeprint", openForPrint);
  addEventListener("afterprint", closeAgain);
})();
