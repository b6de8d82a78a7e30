(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Tables: a header's button sorts by its column, and again the other way round.
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    const body = table.tBodies[0];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        const value = (row) => {
          const cell = row.cells[column];
          return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
        };
        const compare = (a, b) =>
          typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
        const rows = [...body.rows].sort((a, b) => sign * compare(value(a), value(b)));
        body.append(...rows);
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      });
    });
  }

  // Photos of a cell of the matrix ("3-5"), or of all mistakes on a class ("3-").
  const dialog = document.getElementById("photos");
  const open = (source) => {
    const wanted = source.dataset.opens;
    const isClass = wanted.endsWith("-");
    let shown = 0;
    for (const figure of all("figure", dialog)) {
      const cell = figure.dataset.cell;
      const right = cell.split("-")[0] === cell.split("-")[1];
      const fits = isClass ? cell.startsWith(wanted) && !right : cell === wanted;
      figure.hidden = !fits;
      shown += fits;
    }
    const count = Number(source.dataset.count);
    document.getElementById("photos-title").textContent = source.dataset.label;
    document.getElementById("photos-note").textContent =
      shown < count ? `${shown} of ${count} photos; ${dialog.querySelector("[data-rest]").dataset.rest}.` : "";
    dialog.showModal();
    document.getElementById("photos-title").focus();
    dialog.scrollTop = 0;
  };
  if (dialog) {
    document.addEventListener("click", (event) => {
      const source = event.target.closest("[data-opens]");
      if (source) open(source);
      // Beside the box is the dialog itself, too.
      else if (event.target === dialog || event.target.closest(".close")) dialog.close();
    });
    document.addEventListener("keydown", (event) => {
      const isKey = event.key === "Enter" || event.key === " ";
      if (isKey && event.target.matches("rect[data-opens]")) {
        event.preventDefault();
        open(event.target);
      }
    });
  }

  // The matrix: order of the classes, and one cell at a time for the keyboard.
  const matrix = document.getElementById("matrix");
  if (matrix) {
    const cells = all("[data-cell]", matrix).map((element) => {
      const [row, column] = element.dataset.cell.split("-").map(Number);
      return { element, row, column };
    });
    let place = [];
    const arrange = (order) => {
      order.forEach((number, index) => { place[number] = index; });
      const byPlace = (a, b) => place[a.dataset.class] - place[b.dataset.class];
      if (matrix.tBodies) {
        for (const row of [matrix.tHead.rows[0], ...matrix.tBodies[0].rows]) {
          row.append(...[...row.cells].filter((cell) => cell.dataset.class).sort(byPlace));
        }
        matrix.tBodies[0].append(...[...matrix.tBodies[0].rows].sort(byPlace));
      } else {
        for (const { element, row, column } of cells) {
          element.setAttribute("x", place[column]);
          element.setAttribute("y", place[row]);
        }
      }
    };
    const buttons = all("[data-order]");
    for (const button of buttons) {
      button.addEventListener("click", () => {
        arrange(button.dataset.order.split(",").map(Number));
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      });
    }
    arrange(buttons[0].dataset.order.split(",").map(Number));

    const stops = cells.filter(({ element }) => element.dataset.opens);
    const choose = (target) => {
      for (const { element } of stops) element.setAttribute("tabindex", element === target ? 0 : -1);
    };
    if (stops.length) choose(stops[0].element);
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    matrix.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      const here = stops.find(({ element }) => element === event.target);
      if (!step || !here) return;
      event.preventDefault();
      let best = null;
      let least = Infinity;
      for (const stop of stops) {
        const down = place[stop.row] - place[here.row];
        const across = place[stop.column] - place[here.column];
        const ahead = down * step[0] + across * step[1];
        // The same line first: aside counts more than far.
        const distance = ahead + 1000 * Math.abs(down * step[1] + across * step[0]);
        if (ahead > 0 && distance < least) [best, least] = [stop, distance];
      }
      if (best) {
        choose(best.element);
        best.element.focus();
      }
    });

    const readout = document.getElementById("readout");
    if (readout) {
      const read = (event) => {
        const cell = event.target.closest("[data-cell]");
        if (cell) readout.textContent = cell.dataset.label;
      };
      matrix.addEventListener("pointerover", read);
      matrix.addEventListener("focusin", read);
      // Cells are small for a finger: the nearest one is meant.
      matrix.addEventListener("click", (event) => {
        if (event.target.closest("[data-cell]")) return;
        let nearest = null;
        let least = 16;
        for (const { element } of stops) {
          const box = element.getBoundingClientRect();
          const distance = Math.hypot(
            event.clientX - (box.left + box.right) / 2,
            event.clientY - (box.top + box.bottom) / 2,
          );
          if (distance < least) [nearest, least] = [element, distance];
        }
        if (nearest) open(nearest);
      });
    }
  }

  // On paper nothing can be unfolded.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = all("details:not([open])");
    for (const details of unfolded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of unfolded) details.open = false;
  });
})();
