// The page's life: unpacks the numbers, puts two columns against each other, and listens.
"use strict";

(async () => {
  const el = (id) => document.getElementById(id);
  const facts = JSON.parse(el("facts").textContent);

  // What the page carries.

  async function unpacked(base64) {
    const bytes = Uint8Array.from(atob(base64.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  const texts = async (base64) => JSON.parse(new TextDecoder().decode(await unpacked(base64)));

  // The library is packed too: put into the page, it runs only if its hash is one of the policy's.
  for (const packed of document.querySelectorAll("script.library")) {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(await unpacked(packed.textContent));
    document.body.append(script);
  }

  const keys = await texts(el("keys").textContent);
  const n = keys.length;
  const columns = await (async () => {
    const planes = await unpacked(el("numbers").textContent);
    const count = planes.length / 8;
    const bytes = new Uint8Array(planes.length);
    for (let plane = 0; plane < 8; plane++)
      for (let i = 0; i < count; i++) bytes[8 * i + plane] = planes[plane * count + i];
    const view = new DataView(bytes.buffer);
    const values = Float64Array.from({ length: count }, (_, i) => view.getFloat64(8 * i, true));
    return facts.columns.map((column, j) => ({ ...column, values: values.subarray(j * n, (j + 1) * n) }));
  })();
  const blocks = el("drawings").textContent.trim().split(/\s+/);
  const opened = new Map(); // blocks of drawings that have been unpacked

  /** An image: of what a picture says nothing is run, whatever it holds. */
  async function drawing(index) {
    const block = Math.floor(index / facts.block);
    if (!opened.has(block)) opened.set(block, texts(blocks[block]));
    const svg = (await opened.get(block))[index % facts.block];
    const image = document.createElement("img");
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svg);
    image.alt = "drawing of " + keys[index];
    return image;
  }

  // Words and numbers.

  const signed = (value, digits) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits).replace(/^0/, "");
  function number(value) {
    if (!Number.isFinite(value)) return "–";
    if (Math.abs(value) >= 1e4) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(5)));
  }
  const named = (column) => column.label + (column.lower ? " ↓" : "");
  function said(name, { n, tau, low, high }) {
    const ends = Number.isNaN(low) ? "" : ` [${signed(low, 2)}, ${signed(high, 2)}]`;
    const value = Number.isNaN(tau) ? "undefined" : signed(tau, 3) + ends;
    return `${name}: τ ${value}, n = ${n.toLocaleString("en")}`;
  }

  // Bokeh's models, found by their names.

  await Bokeh.embed.embed_items(...facts.models);
  const shown = Bokeh.documents[0];
  const [source, figure, table, colours, bar, hover, kept] = [
    "points", "figure", "rows", "colours", "bar", "hover", "kept",
  ].map((name) => shown.get_model_by_name(name));

  // Controls.

  const controls = { x: el("x"), y: el("y"), c: el("c"), by: el("by") };
  for (const [axis, control] of Object.entries(controls)) {
    if (axis === "c" || axis === "by") control.add(new Option(axis === "c" ? "one colour" : "no limit", ""));
    columns.forEach((column, j) => control.add(new Option(named(column), String(j))));
  }
  controls.x.value = String(facts.first.x);
  controls.y.value = "0";
  controls.c.value = facts.first.c === null ? "" : String(facts.first.c);

  const chosen = (axis) => (controls[axis].value === "" ? null : columns[Number(controls[axis].value)]);
  let indices = []; // of the architectures that the filter keeps and that have both numbers

  function sides(axis) {
    const column = chosen(axis);
    const logarithm = el("log-" + axis);
    const positive = column.values.every((value) => !(value <= 0));
    logarithm.disabled = !positive;
    const log = logarithm.checked && positive;
    return { column, label: (log ? "log₁₀ " : "") + named(column), plotted: log ? column.values.map(Math.log10) : column.values };
  }

  function wrapped(label) {
    const lines = [""];
    for (const part of label.split(/(?<=, )/)) {
      if (lines.at(-1) && (lines.at(-1) + part).length > 44) lines.push("");
      lines[lines.length - 1] += part;
    }
    return lines.map((line) => line.trim()).join("\n");
  }

  function redraw() {
    const [x, y] = [sides("x"), sides("y")];
    const c = chosen("c");
    const flat = new Float64Array(n);
    source.selected.indices = [];
    source.data = { x: x.plotted, y: y.plotted, c: c ? c.values : flat, key: keys };
    figure.below[0].axis_label = wrapped(x.label);
    figure.left[0].axis_label = wrapped(y.label);
    const finite = c ? Array.from(c.values).filter(Number.isFinite).sort((a, b) => a - b) : [];
    const quantile = (q) => finite[Math.round(q * (finite.length - 1))];
    // Between the 2nd and 98th percentile: diverged trainings would take all colours.
    const [low, high] = finite.length ? [quantile(0.02), quantile(0.98)] : [0, 1];
    colours.setv({ low, high: high > low ? high : low + 1 });
    bar.visible = c !== null;
    bar.title = c ? named(c) : "";
    hover.tooltips = [
      ["architecture", "@key"],
      [x.label, "@x{0,0.[00000]}"],
      [y.label, "@y{0,0.[00000]}"],
      ...(c ? [[named(c), "@c{0,0.[00000]}"]] : []),
    ];
    // The table takes its headings for HTML.
    const escaped = (label) => label.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
    [x.label, y.label, c ? named(c) : "–"].forEach((label, i) => (table.columns[i + 1].title = escaped(label)));
    frame(figure.x_range, x.plotted);
    frame(figure.y_range, y.plotted);
    filter();
  }

  /** From end to end, or without what is far from the rest: diverged trainings would leave no room. */
  function frame(range, values) {
    const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
    if (!sorted.length) return;
    const at = (q) => sorted[Math.round(q * (sorted.length - 1))];
    const far = el("whole").checked ? Infinity : at(0.95) - at(0.05);
    const [low, high] = [Math.max(at(0), at(0.05) - far / 2), Math.min(at(1), at(0.95) + far / 2)];
    const margin = 0.04 * (high - low) || 0.5;
    const [start, end] = [low - margin, high + margin];
    range.setv({ start, end, reset_start: start, reset_end: end });
  }

  function filter() {
    const by = chosen("by");
    const least = el("least").value === "" ? -Infinity : Number(el("least").value);
    const most = el("most").value === "" ? Infinity : Number(el("most").value);
    const part = el("part").value.trim().toLowerCase();
    const [x, y] = [chosen("x").values, chosen("y").values];
    indices = [];
    for (let i = 0; i < n; i++) {
      const fits = !by || (by.values[i] >= least && by.values[i] <= most);
      if (fits && Number.isFinite(x[i]) && Number.isFinite(y[i]) && keys[i].toLowerCase().includes(part)) indices.push(i);
    }
    source.selected.indices = [];
    kept.indices = indices;
    best();
    agree();
  }

  function tau(of) {
    const [x, y] = [chosen("x"), chosen("y")];
    const values = (column) => of.map((i) => (column.lower ? -column.values[i] : column.values[i]));
    return kendall.interval(values(x), values(y));
  }

  function agree() {
    el("tau-all").textContent = said("shown", tau(indices));
    const within = new Set(indices);
    const selected = source.selected.indices.filter((i) => within.has(i));
    el("tau-selected").textContent = selected.length > 1
      ? said("selected", tau(selected))
      : "drag over the plot to select, and read τ of what is selected";
  }

  // Drawings.

  let asked = 0;
  async function show(index) {
    const mine = ++asked;
    const image = await drawing(index);
    if (mine !== asked) return; // another has been asked for since
    const list = document.createElement("dl");
    for (const axis of ["x", "y", "c"]) {
      const column = chosen(axis);
      if (!column) continue;
      const term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = named(column);
      value.textContent = number(column.values[index]);
      list.append(term, value);
    }
    const name = document.createElement("p");
    name.className = "key";
    name.textContent = keys[index];
    el("drawn").replaceChildren(image, name, list);
  }

  async function best() {
    const x = chosen("x"), y = chosen("y"), sign = x.lower ? 1 : -1;
    const first = [...indices].sort((a, b) => sign * (x.values[a] - x.values[b]) || a - b).slice(0, 10);
    el("best-by").textContent = named(x);
    const images = await Promise.all(first.map(drawing));
    if (x !== chosen("x")) return;
    el("best").replaceChildren(...images.map((image, place) => {
      const button = document.createElement("button");
      const line = document.createElement("span");
      line.textContent = `${place + 1}. ${number(x.values[first[place]])}; ${named(y)} ${number(y.values[first[place]])}`;
      button.append(image, line);
      button.addEventListener("click", () => (source.selected.indices = [first[place]]));
      return button;
    }));
  }

  source.selected.properties.indices.change.connect(() => {
    agree();
    if (source.selected.indices.length === 1) show(source.selected.indices[0]);
  });
  for (const control of [controls.x, controls.y, controls.c, el("log-x"), el("log-y"), el("whole")]) control.addEventListener("change", redraw);
  for (const control of [controls.by, el("least"), el("most"), el("part")]) control.addEventListener("input", filter);
  el("nothing").addEventListener("click", () => (source.selected.indices = []));
  document.querySelectorAll("[data-column]").forEach((button) =>
    button.addEventListener("click", () => {
      controls.x.value = button.dataset.column;
      redraw();
      el("against").scrollIntoView();
    }));
  redraw();
  if (indices.length) await show(indices.reduce((a, b) => (chosen("y").values[b] > chosen("y").values[a] ? b : a)));
  document.body.dataset.ready = "yes";
})();
