/* What the report is about: one Compilation for each time that something was compiled. The data
   is described in lazygrad/dump/record.py. Indexes are made when they are first asked for. */

class Compilation {
  constructor({ record, runs }, about, number) {
    Object.assign(this, record);
    this.runs = runs;
    this.number = number;
    this.about = about;
    this.kernels.forEach((kernel, k) => {
      kernel.number = k;
      kernel.launches = [];
    });
    record.launches.forEach((k, launch) => this.kernels[k].launches.push(launch));
    this.kernels.forEach((kernel) => this.measure(kernel));
    this.compileSeconds = sum(record.phases.map(([, , seconds]) => seconds));
    this.runSeconds = sum(this.kernels.map((kernel) => kernel.total));
  }

  /** A kernel's times, work and rates. */
  measure(kernel) {
    const known = this.functions[kernel.function] ?? { flops: 0, bytes: 0 };
    const times = kernel.launches.map((launch) => this.runs.launches[launch] ?? [0, 0]);
    kernel.total = sum(times.map(([total]) => total));
    kernel.least = sum(times.map(([, least]) => least));
    kernel.flops = known.flops * Math.max(1, kernel.launches.length);
    kernel.bytes = known.bytes * Math.max(1, kernel.launches.length);
  }

  get users() {
    const users = this.nodes.map(() => []);
    this.nodes.forEach((node, n) => node.in.forEach((x) => users[x].push(n)));
    return kept(this, "users", users);
  }

  /** The kernels that compute each node. */
  get kernelsOf() {
    const found = this.nodes.map(() => []);
    for (const kernel of this.kernels) {
      for (const n of new Set([...kernel.nodes, ...kernel.out])) found[n].push(kernel.number);
    }
    return kept(this, "kernelsOf", found);
  }

  /** The first kernel with an origin: where nodes belong that passes have replaced. */
  get kernelOfOrigin() {
    const found = new Map();
    for (const kernel of [...this.kernels].reverse()) {
      for (const origin of this.originsOf(kernel)) found.set(origin, kernel.number);
    }
    return kept(this, "kernelOfOrigin", found);
  }

  /** The kernels that read each node from memory. */
  get readersOf() {
    const found = this.nodes.map(() => []);
    for (const kernel of this.kernels) kernel.in.forEach((n) => found[n].push(kernel.number));
    return kept(this, "readersOf", found);
  }

  /** For each line ("file:line") its nodes, its kernels, and the seconds that these take: a kernel
      of several lines counts for each of them in equal parts. */
  get lines() {
    const lines = new Map();
    const at = (origin) => {
      const { file, line } = this.about.origins[origin];
      const key = `${file}:${line}`;
      if (!lines.has(key)) lines.set(key, { nodes: new Set(), kernels: new Set(), seconds: 0 });
      return lines.get(key);
    };
    this.nodes.forEach((node, n) => node.at.forEach((origin) => at(origin).nodes.add(n)));
    for (const kernel of this.kernels) {
      const own = new Set(this.originsOf(kernel).map(at));
      for (const line of own) {
        line.kernels.add(kernel.number);
        line.seconds += kernel.total / own.size;
      }
    }
    return kept(this, "lines", lines);
  }

  /** The numbers of the origins of all that a kernel computes. */
  originsOf(kernel) {
    kernel.origins ??= [
      ...new Set([...kernel.out, ...kernel.nodes].flatMap((n) => this.nodes[n].at)),
    ];
    return kernel.origins;
  }

  /** What a node is called. */
  nameOf(n) {
    return this.nodes[n].name ?? `%${n}`;
  }

  /** The nodes that outputs are made of, each after its inputs. */
  reachable(outputs) {
    const seen = new Set();
    const stack = [...outputs];
    while (stack.length) {
      const n = stack.pop();
      if (seen.has(n)) continue;
      seen.add(n);
      stack.push(...this.nodes[n].in);
    }
    return [...seen].sort((a, b) => a - b); // numbers grow from inputs to users
  }
}

/** Put a computed value in the place of the getter that made it. */
function kept(owner, name, value) {
  Object.defineProperty(owner, name, { value });
  return value;
}

/** "train.py:14", with what was asked for there. */
function originText(about, origin) {
  const { file, line, operation, gradient } = about.origins[origin];
  const where = `${baseName(about.files[file].path)}:${line}`;
  return `${gradient ? "gradient of " : ""}${operation || "?"}  ${where}`;
}
