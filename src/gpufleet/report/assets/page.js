"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Charts. One at a time, so that the page stays responsive; the page is marked when all are drawn.
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const options = { mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, tooltip: { disableDefaultStyle: true } };
  const draw = async () => {
    for (const box of all(".chart")) {
      const spec = specs[box.dataset.spec];
      spec.config.axis.labelLimit = box.clientWidth < 500 ? 110 : 220;
      await vegaEmbed(box, spec, options);
      box.querySelector("svg").setAttribute("aria-hidden", "true"); // the box has the text
    }
    document.documentElement.dataset.ready = "yes";
  };

  // Tables: sort by a column, download as CSV. The bare value of a cell is in data-v.
  const bare = (cell) => cell.dataset.v ?? cell.textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  };
  const sort = (header) => {
    const body = header.closest("table").tBodies[0];
    const column = header.cellIndex;
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => [bare(row.cells[column]), row]);
    rows.sort(([a], [b]) => (a === "" || b === "" || !down ? compare(a, b) : compare(b, a)));
    body.append(...rows.map(([, row]) => row));
  };
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const harmless = (text) => (/^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text);
  const download = (button) => {
    const table = document.getElementById(button.dataset.table);
    const lines = [...table.rows].map((row) => [...row.cells].map((cell) => quoted(harmless(bare(cell)))).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff" + lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  document.addEventListener("click", (event) => {
    const header = event.target.closest("th");
    if (header && event.target.closest("button")) sort(header);
    const button = event.target.closest("button.csv");
    if (button) download(button);
  });

  // Rows of a long table by text; every word must be in the row.
  const filter = (box) => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.getElementById(box.dataset.filter).tBodies[0].rows];
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    const says = box.parentElement.querySelector("output");
    says.textContent = words.length ? says.dataset.of.replace("#", shown.toLocaleString(document.documentElement.lang)) : "";
  };
  document.addEventListener("input", (event) => event.target.matches("[data-filter]") && filter(event.target));

  // A number's link opens what it points to, and what that lies in; keyboard and screen reader go on from there.
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let around = target; around; around = around.parentElement?.closest("details")) {
      if (around.tagName === "DETAILS") around.open = true;
    }
    if (target.hidden) target.hidden = false;
    target.scrollIntoView();
    const stop = target.tagName === "DETAILS" ? target.querySelector("summary") : target;
    stop.focus({ preventScroll: true });
  };
  addEventListener("hashchange", open);
  addEventListener("beforeprint", () => all(".ledger details").forEach((entry) => (entry.open = true)));

  draw().then(open);
})();
