/* What happened when: compiling, programs, kernels on each thread, memory. */

const ROW = 20; // the height of a row, in points
const MARGIN = 130; // at the left, for the names of rows
const MEMORY = 60; // the height of the picture of memory

class Timeline {
  constructor(compilations, total) {
    this.rows = timelineRows(compilations);
    this.memory = compilations.flatMap(({ runs }) => runs.samples.map(([at, , held]) => [at, held])).sort((a, b) => a[0] - b[0]);
    this.total = Math.max(total, 1e-6);
    this.from = 0;
    this.to = this.total;
    this.picture = element("canvas", { class: "timeline", tabindex: "0", "aria-label": "timeline" });
    this.height = 26 + this.rows.length * ROW + MEMORY + 12;
    this.picture.style.height = `${this.height}px`;
    this.element = element("div", { class: "detail" },
      element("p", { class: "faint" }, "Ctrl and wheel: zoom; drag: move; the first runs of each compilation are shown kernel by kernel. ",
        "The same is in trace.json, for Perfetto (ui.perfetto.dev). ",
        element("button", { title: "larger", onclick: () => this.zoom(0.5) }, "+"), " ",
        element("button", { title: "smaller", onclick: () => this.zoom(2) }, "−")), this.picture);
    this.picture.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.picture.addEventListener("pointermove", (event) => this.move(event));
    this.picture.addEventListener("pointerleave", hideHint);
    this.picture.addEventListener("click", (event) => this.slice(event)?.act?.());
    this.picture.addEventListener("redraw", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  draw() {
    const width = this.picture.clientWidth, scale = window.devicePixelRatio || 1;
    if (!width) return;
    this.picture.width = width * scale;
    this.picture.height = this.height * scale;
    const pen = this.picture.getContext("2d");
    pen.scale(scale, scale);
    const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
    pen.font = "11px ui-monospace, Menlo, Consolas, monospace";
    const x = (seconds) => MARGIN + ((seconds - this.from) / (this.to - this.from)) * (width - MARGIN);
    this.ruler(pen, x, width, color);
    this.rows.forEach((row, n) => {
      const top = 24 + n * ROW;
      pen.fillStyle = color("faint");
      pen.fillText(row.name.slice(0, 18), 0, top + 13);
      for (const slice of row.slices) {
        const left = Math.max(MARGIN, x(slice.at)), right = Math.min(width, x(slice.at + slice.seconds));
        if (right < MARGIN || left > width) continue;
        const wide = Math.max(1, right - left);
        pen.fillStyle = color(slice.fill);
        pen.fillRect(left, top, wide, ROW - 4);
        pen.strokeStyle = color("edge");
        if (wide > 3) pen.strokeRect(left + 0.5, top + 0.5, wide - 1, ROW - 5);
        if (wide < 40) continue;
        pen.fillStyle = color("text");
        pen.fillText(shortened(slice.name, Math.floor((wide - 6) / 6.7)), left + 3, top + 12);
      }
    });
    this.drawMemory(pen, x, width, color);
  }

  ruler(pen, x, width, color) {
    const step = niceStep((this.to - this.from) / Math.max(2, (width - MARGIN) / 110));
    pen.fillStyle = color("faint");
    pen.strokeStyle = color("line");
    for (let at = Math.ceil(this.from / step) * step; at <= this.to; at += step) {
      if (x(at) + 50 < width) pen.fillText(secondsText(at), x(at) + 3, 12);
      pen.beginPath();
      pen.moveTo(x(at), 0);
      pen.lineTo(x(at), this.height);
      pen.stroke();
    }
  }

  drawMemory(pen, x, width, color) {
    const bottom = this.height - 8;
    const most = Math.max(1, ...this.memory.map(([, held]) => held));
    pen.fillStyle = color("faint");
    pen.fillText("memory", 0, bottom - MEMORY + 12);
    pen.fillText(bytesText(most), 0, bottom - MEMORY + 26);
    pen.fillStyle = color("bar");
    this.memory.forEach(([at, held], n) => {
      const next = this.memory[n + 1]?.[0] ?? this.total;
      const left = Math.max(MARGIN, x(at)), right = Math.min(width, x(next));
      const high = (held / most) * MEMORY;
      if (right > MARGIN && left < width) pen.fillRect(left, bottom - high, Math.max(1, right - left), high);
    });
  }

  /** What is at a point of the picture. */
  slice(event) {
    const row = this.rows[Math.floor((event.offsetY - 24) / ROW)];
    const seconds = this.seconds(event);
    return row?.slices.findLast(({ at, seconds: long }) => at <= seconds && seconds <= at + long);
  }

  seconds(event) {
    const share = (event.offsetX - MARGIN) / (this.picture.clientWidth - MARGIN);
    return this.from + share * (this.to - this.from);
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // the page is to scroll
    event.preventDefault();
    this.zoom(Math.exp(event.deltaY * 0.0016), this.seconds(event));
  }

  /** Show so many times the seconds; `middle` stays where it is. */
  zoom(factor, middle = (this.from + this.to) / 2) {
    this.range(middle - (middle - this.from) * factor, middle + (this.to - middle) * factor);
  }

  range(from, to) {
    const long = Math.min(this.total, Math.max(1e-7, to - from));
    this.from = Math.min(Math.max(0, from), this.total - long);
    this.to = this.from + long;
    this.draw();
  }

  move(event) {
    if (event.buttons) {
      const by = (event.movementX / (this.picture.clientWidth - MARGIN)) * (this.to - this.from);
      this.range(this.from - by, this.to - by);
      return;
    }
    const slice = this.slice(event);
    if (slice) showHint(event, `${slice.name}\n${secondsText(slice.seconds)}`);
    else hideHint();
  }
}

/** A text of at most so many characters. */
function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.max(0, most - 1))}…`;
}

/** 0.0034 -> 0.005: a step that a ruler can have. */
function niceStep(least) {
  const size = 10 ** Math.floor(Math.log10(least));
  return size * [1, 2, 5, 10].find((factor) => factor * size >= least);
}

/** The rows of a timeline: the compiler, programs, and each thread or queue of a device. */
function timelineRows(compilations) {
  const compiler = [], programs = [], threads = new Map();
  for (const compilation of compilations) {
    const { number, name, phases, runs } = compilation;
    const act = (kernel) => () => choose({ c: number, kernel, node: null, line: null });
    for (const [pass, at, seconds] of phases) {
      const called = PHASES[pass] ?? pass;
      compiler.push({ name: compilations.length > 1 ? `${name}: ${called}` : called, at, seconds, fill: "row", act: act(null) });
    }
    for (const [at, seconds] of runs.samples) programs.push({ name, at, seconds, fill: "map", act: act(null) });
    for (const [begin, times] of runs.details) {
      let at = begin;
      times.forEach((seconds, launch) => {
        const k = compilation.launches[launch];
        const kernel = compilation.kernels[k];
        for (let thread = 0; thread < (runs.threads[launch] ?? 1); thread++) {
          const row = `${compilation.device} ${thread}`;
          if (!threads.has(row)) threads.set(row, []);
          threads.get(row).push({
            name: kernel?.title ?? "", at, seconds, act: act(k),
            fill: KINDS.includes(kernel?.kind) ? kernel.kind : "other",
          });
        }
        at += seconds;
      });
    }
  }
  const rows = [{ name: "compiler", slices: compiler }, { name: "programs", slices: programs }];
  for (const name of [...threads.keys()].sort()) rows.push({ name, slices: threads.get(name) });
  return rows;
}

// -------------------------------------------------------------------- memory of one program

/** Which values are in memory while which kernel runs: slots from top to bottom, kernels from left
    to right. */
function memoryView(compilation, stage) {
  const kernels = compilation.kernels.length;
  const most = Math.max(1, ...stage.slots);
  const heights = stage.slots.map((bytes) => Math.max(14, 60 * Math.sqrt(bytes / most)));
  const tops = heights.map((_, n) => sum(heights.slice(0, n)) + 4 * n);
  const wide = Math.max(22, Math.min(60, 760 / Math.max(1, kernels)));
  const height = sum(heights) + 4 * heights.length + 30;
  const layer = stage.held.map(([n, slot, from, to]) => {
    const name = compilation.nameOf(n), { type, bytes } = compilation.nodes[n];
    const width = (to - from + 1) * wide - 2;
    const fits = name.length * CHARACTER < width;
    return clickable(svgElement("g", { class: "box fill-map", "data-node": n },
      svgElement("title", {}, `${name}: ${type}, ${bytesText(bytes)}\nkernels ${from} to ${to}`),
      svgElement("rect", { x: 90 + from * wide, y: tops[slot], width, height: heights[slot] }),
      fits ? svgElement("text", { x: 94 + from * wide, y: tops[slot] + 11 }, name) : null), () => choose({ node: n }));
  });
  const labels = stage.slots.map((bytes, n) =>
    svgElement("text", { x: 0, y: tops[n] + 11, class: "second" }, bytesText(bytes)));
  const numbers = compilation.kernels.map((kernel, k) =>
    svgElement("text", { x: 92 + k * wide, y: height - 12, class: "second" }, String(k)));
  const canvas = new Canvas();
  canvas.layer.append(svgElement("g", { class: "box" }, labels, numbers), ...layer);
  canvas.size = { width: 90 + kernels * wide, height };
  new ResizeObserver(() => canvas.resize()).observe(canvas.element);
  const total = sum(stage.slots);
  return [element("p", { class: "detail faint" },
    `${counted(stage.slots.length, "slot")} of ${bytesText(total)} together; at most ${bytesText(stage.least)} are alive at once. ` +
    "A row is a slot, a column a kernel: a box lasts from the kernel that writes a value to the last that reads it."),
    canvas.element];
}
