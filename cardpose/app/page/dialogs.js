// The dialogs: history of answers and settings.

import { keep, kept, scale } from "./kept.js";
import { say, speak } from "./words.js";
import { $ } from "./view.js";

function listAnswers() {
  const rows = kept.history.map(({ text, time }) => {
    const row = document.createElement("li");
    const [what, when] = [document.createElement("span"), document.createElement("time")];
    what.textContent = text;
    when.textContent = new Date(time).toLocaleString(navigator.language, { dateStyle: "short", timeStyle: "short" });
    row.append(what, when);
    return row;
  });
  $("answers").replaceChildren(...(rows.length ? rows : [say("nothing")]));
}

const tellCalibration = () => {
  const { pairs } = kept;
  $("calibration").textContent = pairs.length ? say("calibrated", pairs.length, scale().toFixed(2)) : say("plain");
};

/** Wire the dialogs. `estimated()`: the count without calibration, NaN without one; `changed()`: settings did. */
export function dialogs(estimated, changed) {
  const language = kept.language ?? (navigator.language.startsWith("es") ? "es" : "en");
  speak(language);
  $("language").value = language;
  $("magic").checked = kept.magic;
  $("show-history").onclick = () => { listAnswers(); $("history").showModal(); };
  $("show-settings").onclick = () => { tellCalibration(); $("settings").showModal(); };
  $("forget").onclick = () => { keep({ history: [] }); listAnswers(); };
  $("language").onchange = () => {
    keep({ language: $("language").value });
    speak(kept.language);
    tellCalibration();
    changed();
  };
  $("magic").onchange = () => { keep({ magic: $("magic").checked }); changed(); };
  $("calibrate").onclick = () => {
    const known = $("known").valueAsNumber, found = estimated();
    if (!(known >= 1 && known <= 104 && found > 0)) {
      $("calibration").textContent = say("noAnswer");
      return;
    }
    keep({ pairs: [...kept.pairs, [found, known]] });
    tellCalibration();
    changed(true);
  };
  $("uncalibrate").onclick = () => { keep({ pairs: [] }); tellCalibration(); changed(true); };
}
