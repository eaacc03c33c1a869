// What stays on the phone alone: settings, calibration and the history of answers.

const DEFAULTS = { language: null, magic: false, pairs: [], history: [] };
const MOST_ANSWERS = 200;
const KEY = "cardpose";

function load() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY)) };
  } catch { // private mode, or damaged
    return { ...DEFAULTS };
  }
}

export const kept = load();

export function keep(changes) {
  Object.assign(kept, changes);
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch { /* private mode: kept until the page closes */ }
}

export function remember(answer) {
  keep({ history: [{ ...answer, time: Date.now() }, ...kept.history].slice(0, MOST_ANSWERS) });
}

/** Factor of the counts: least squares through the origin over the pairs [estimated, true]. */
export function scale(pairs = kept.pairs) {
  const across = pairs.reduce((sum, [estimated]) => sum + estimated * estimated, 0);
  return across ? pairs.reduce((sum, [estimated, known]) => sum + estimated * known, 0) / across : 1;
}

/** The interval for estimates that are multiplied by `factor`, as Interval.rescaled. */
export const rescaled = (interval, factor) => interval && { ...interval, floor: factor * interval.floor };
