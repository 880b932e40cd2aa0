// Kendall's tau-b of two arrays, and how sure it is: O(n log n), without drawing anything at random.
"use strict";

const kendall = (() => {
  const Z = 1.959963984540054; // 97.5 % of a normal distribution
  const MIN_FOR_INTERVAL = 10; // as in the ranking table

  /** Dense ranks from 1, and how many others share each entry's value. */
  function ranked(values) {
    const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b]);
    const rank = new Uint32Array(values.length);
    const ties = new Float64Array(values.length);
    let level = 0;
    for (let first = 0, last; first < order.length; first = last) {
      last = first;
      while (last < order.length && values[order[last]] === values[order[first]]) last++;
      level++;
      for (let k = first; k < last; k++) {
        rank[order[k]] = level;
        ties[order[k]] = last - first - 1;
      }
    }
    return { order, rank, ties, levels: level };
  }

  /** For each entry, how many others it agrees with, less those it disagrees with. */
  function balances(x, y) {
    const n = x.rank.length;
    const balance = new Float64Array(n);
    // Entries of a smaller x, then of a larger one, counted by their y in a Fenwick tree.
    for (const [sign, at] of [[1, (k) => k], [-1, (k) => n - 1 - k]]) {
      const tree = new Uint32Array(y.levels + 1);
      const below = (level) => {
        let sum = 0;
        for (let i = level; i > 0; i -= i & -i) sum += tree[i];
        return sum;
      };
      for (let first = 0, last; first < n; first = last) {
        last = first;
        while (last < n && x.rank[x.order[at(last)]] === x.rank[x.order[at(first)]]) last++;
        for (let k = first; k < last; k++) {
          const i = x.order[at(k)];
          const greater = first - below(y.rank[i]);
          balance[i] += sign * (below(y.rank[i] - 1) - greater);
        }
        for (let k = first; k < last; k++) {
          for (let i = y.rank[x.order[at(k)]]; i <= y.levels; i += i & -i) tree[i]++;
        }
      }
    }
    return balance;
  }

  const sum = (values) => values.reduce((total, value) => total + value, 0);

  /**
   * tau-b, and the ends of a 95 % interval over entries: the exact leave-one-out values give a
   * standard error (the jackknife), taken on Fisher's scale, atanh, so that it stays within ±1.
   * NaN where an array is constant; no interval below ten entries or where none of them matters.
   * Entries have to be finite.
   */
  function interval(given, truth) {
    const n = given.length;
    const nothing = { n, tau: NaN, low: NaN, high: NaN };
    if (n < 2) return nothing;
    const x = ranked(given), y = ranked(truth);
    if (x.levels < 2 || y.levels < 2) return nothing;
    const balance = balances(x, y);
    const pairs = (n * (n - 1)) / 2;
    const total = sum(balance) / 2, tiedX = sum(x.ties) / 2, tiedY = sum(y.ties) / 2;
    const tau = total / Math.sqrt((pairs - tiedX) * (pairs - tiedY));
    if (n < MIN_FOR_INTERVAL) return { ...nothing, tau };
    const without = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const left = pairs - (n - 1);
      const across = (left - tiedX + x.ties[i]) * (left - tiedY + y.ties[i]);
      without[i] = (total - balance[i]) / Math.sqrt(across);
    }
    const mean = sum(without) / n;
    const variance = ((n - 1) / n) * sum(without.map((value) => (value - mean) ** 2));
    if (!(variance > 1e-24 && Math.abs(tau) < 1)) return { ...nothing, tau };
    const error = Math.sqrt(variance) / (1 - tau * tau);
    const centre = Math.atanh(tau);
    return { n, tau, low: Math.tanh(centre - Z * error), high: Math.tanh(centre + Z * error) };
  }

  return { interval };
})();
