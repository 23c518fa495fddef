/* Layered layout of a directed graph, after Sugiyama, Tagawa and Toda (1981): boxes in ranks from
   top to bottom, few crossings, short edges. Edges may form cycles. */

const RANK_GAP = 26; // between two ranks, in points
const BOX_GAP = 16; // between neighbours in a rank
const SWEEPS = 6;
const WIDE = 700; // rows of boxes without edges may be that wide

/** Set x and y, the left upper corner, of boxes that have width and height. `edges` are pairs of
    boxes. Gives the size of the whole, and for each edge the points that it passes between. */
function layered(boxes, edges) {
  const items = boxes.map((box) => ({ box, width: box.width, height: box.height, up: [], down: [] }));
  const itemOf = new Map(boxes.map((box, n) => [box, items[n]]));
  const links = edges.map(([from, to]) => ({ from: itemOf.get(from), to: itemOf.get(to), via: [] }));
  pointDown(items, links);
  const alone = items.filter((item) => !item.up.length && !item.down.length);
  const joined = items.filter((item) => item.up.length || item.down.length);
  rank(joined);
  const ranks = withBends(joined, links);
  order(ranks);
  place(ranks);
  putBelow(ranks, alone);
  for (const item of items) {
    item.box.x = item.x - item.width / 2;
    item.box.y = item.y;
  }
  const width = Math.max(0, ...ranks.flat().map((item) => item.x + item.width / 2));
  const height = Math.max(0, ...ranks.flat().map((item) => item.y + item.height));
  const routes = links.map((link) => {
    const points = link.via.map((bend) => [bend.x, bend.y + bend.height / 2]);
    return link.isTurned ? points.reverse() : points;
  });
  return { width, height, routes };
}

/** Turn the edges that close a cycle, so that all lead from an earlier box to a later one. */
function pointDown(items, links) {
  const leaving = new Map(items.map((item) => [item, []]));
  for (const link of links) leaving.get(link.from).push(link);
  const state = new Map(); // 1: on the way from a root, 2: done
  for (const root of items) {
    if (state.has(root)) continue;
    const stack = [[root, 0]];
    state.set(root, 1);
    while (stack.length) {
      const top = stack.at(-1);
      const link = leaving.get(top[0])[top[1]++];
      if (!link) {
        state.set(top[0], 2);
        stack.pop();
      } else if (state.get(link.to) === 1) link.isTurned = true;
      else if (!state.has(link.to)) {
        state.set(link.to, 1);
        stack.push([link.to, 0]);
      }
    }
  }
  for (const link of links) {
    const [above, below] = link.isTurned ? [link.to, link.from] : [link.from, link.to];
    if (above === below) continue;
    Object.assign(link, { above, below });
    above.down.push(below);
    below.up.push(above);
  }
}

/** Each item one rank below the lowest that it comes from; what comes from nothing stands just
    above its first user. */
function rank(items) {
  const waits = new Map(items.map((item) => [item, item.up.length]));
  const ready = items.filter((item) => item.up.length === 0);
  const sorted = [];
  while (ready.length) {
    const item = ready.pop();
    sorted.push(item);
    item.rank = Math.max(0, ...item.up.map((above) => above.rank + 1));
    for (const below of item.down) {
      waits.set(below, waits.get(below) - 1);
      if (waits.get(below) === 0) ready.push(below);
    }
  }
  for (const item of sorted.reverse()) {
    if (item.up.length === 0 && item.down.length) {
      item.rank = Math.min(...item.down.map((below) => below.rank)) - 1;
    }
  }
}

/** The ranks as lists; an edge over several ranks gets a bend in each rank between. */
function withBends(items, links) {
  const ranks = [];
  const put = (item) => (ranks[item.rank] ??= []).push(item);
  items.forEach(put);
  for (const item of items) item.up = item.down = null;
  for (const item of items) Object.assign(item, { up: [], down: [] });
  for (const link of links) {
    if (!link.above) continue;
    let last = link.above;
    for (let r = link.above.rank + 1; r < link.below.rank; r++) {
      const bend = { rank: r, width: 6, height: 0, up: [last], down: [] };
      last.down.push(bend);
      link.via.push(bend);
      put(bend);
      last = bend;
    }
    last.down.push(link.below);
    link.below.up.push(last);
  }
  return Array.from(ranks, (rank) => rank ?? []);
}

/** Sort each rank by where the neighbours in the rank before stand, down and up in turn. */
function order(ranks) {
  const number = (rank) => rank.forEach((item, n) => (item.place = n));
  ranks.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const side = sweep % 2 ? "down" : "up";
    for (const rank of sweep % 2 ? [...ranks].reverse() : ranks) {
      for (const item of rank) {
        const near = item[side];
        item.wish = near.length ? sum(near.map((other) => other.place)) / near.length : item.place;
      }
      rank.sort((a, b) => a.wish - b.wish);
      number(rank);
    }
  }
}

/** Set the middle x and the upper y of each item: near its neighbours, and apart from others. */
function place(ranks) {
  let top = 0;
  for (const rank of ranks) {
    const height = Math.max(0, ...rank.map((item) => item.height));
    let left = 0;
    for (const item of rank) {
      item.y = top + (height - item.height) / 2;
      item.x = left + item.width / 2;
      left += item.width + BOX_GAP;
    }
    top += height + RANK_GAP;
  }
  for (let sweep = 0; sweep < 2 * SWEEPS; sweep++) {
    const side = sweep % 2 ? "down" : "up";
    for (const rank of sweep % 2 ? [...ranks].reverse() : ranks) {
      const wishes = rank.map((item) => {
        const near = item[side].length ? item[side] : [item];
        return sum(near.map((other) => other.x)) / near.length;
      });
      apart(rank, wishes).forEach((x, n) => (rank[n].x = x));
    }
  }
  const left = Math.min(...ranks.flat().map((item) => item.x - item.width / 2));
  for (const item of ranks.flat()) item.x -= left;
}

/** Add what no edge leads to, in rows below. */
function putBelow(ranks, alone) {
  const edge = (item) => item.x + item.width / 2;
  const wide = Math.max(WIDE, ...ranks.flat().map(edge));
  let top = Math.max(0, ...ranks.flat().map((item) => item.y + item.height + RANK_GAP));
  let row = [];
  for (const item of alone) {
    if (row.length && edge(row.at(-1)) + BOX_GAP + item.width > wide) {
      top += Math.max(...row.map((other) => other.height)) + BOX_GAP;
      row = [];
    }
    item.x = (row.length ? edge(row.at(-1)) + BOX_GAP : 0) + item.width / 2;
    item.y = top;
    row.push(item);
    ranks.push([item]);
  }
}

/** Positions in the order of the rank, nearest to the wishes in the sum of squares, that leave room
    for each item: isotonic regression by pooling neighbours that violate the order. */
function apart(rank, wishes) {
  let before = 0;
  const room = rank.map((item, n) => {
    if (n > 0) before += (rank[n - 1].width + item.width) / 2 + BOX_GAP;
    return before;
  });
  const pools = []; // [sum of wishes, count]
  wishes.forEach((wish, n) => {
    let pool = [wish - room[n], 1];
    while (pools.length && pools.at(-1)[0] / pools.at(-1)[1] >= pool[0] / pool[1]) {
      const [total, count] = pools.pop();
      pool = [total + pool[0], count + pool[1]];
    }
    pools.push(pool);
  });
  const means = pools.flatMap(([total, count]) => Array(count).fill(total / count));
  return means.map((mean, n) => mean + room[n]);
}
