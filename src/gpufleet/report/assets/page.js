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
    }
    document.documentElement.dataset.ready = "yes";
  };

  // Tables: sort by a column, download as CSV. The bare value of a cell is in data-v.
  const bare = (cell) => cell.dataset.v ?? cell.textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [parseFloat(a), parseFloat(b)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
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

  // A number's link opens what it points to.
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") target.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  addEventListener("beforeprint", () => all(".ledger details").forEach((entry) => (entry.open = true)));

  draw().then(open);
})();
