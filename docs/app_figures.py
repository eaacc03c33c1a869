"""What the app does in Chromium: `python docs/app_figures.py CLIP.mp4... [--rate 30] [--minutes 10] [--parity]`.

Each clip is the camera, as uncompressed 640x480 video in which every frame of the clip is repeated 20 times, one loop
long: at 30 frames/s it stays for two thirds of a second. Prints frames/s, the age of a frame when its box is drawn, and
the count, beside that of `cardpose predict` on the file. Then the time that a second visit takes to its first answer,
and with --minutes the memory of Chromium's processes. With --parity instead: how far the page's answers for the clips'
frames are from those of Python for the same pixels. Needs Playwright, Chromium and `make app`.
"""

import argparse
import base64
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from cardpose.data.footage.video import iterate
from cardpose.fusion.clips import fuse
from cardpose.models.released import find_model
from cardpose.predict import predict
from cardpose.prediction.predictor import Predictor

PORT, REPEATS = 8719, 20
URL = f"http://127.0.0.1:{PORT}/"


def write_video(clip: str, video: Path, rate: int) -> float:
    """Write the clip as the camera shows it; returns the seconds of one loop."""
    frames = [cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420).tobytes() for frame in iterate(clip)]
    with video.open("wb") as file:
        file.write(f"YUV4MPEG2 W640 H480 F{rate}:1 Ip A1:1 C420\n".encode())
        for frame in frames:
            file.write((b"FRAME\n" + frame) * REPEATS)
    return len(frames) * REPEATS / rate


def counted(clip: str, folder: Path) -> float:
    """The count of `cardpose predict` on the file."""
    out = predict([clip], model="packet-fast", out=folder / Path(clip).stem)
    with (out / "clips.csv").open(encoding="utf-8", newline="") as file:
        return float(next(csv.DictReader(file))["cards"])


def wait(page: Page, seen: str, seconds: float = 60) -> None:
    """Until the JavaScript expression is true; the page's policy forbids Playwright's own waiting."""
    end = time.monotonic() + seconds
    while not page.evaluate(seen):
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {seen}")
        page.wait_for_timeout(20)


def started_here(process: Path) -> bool:
    """Whether a process, its folder in /proc, descends from this script."""
    number = int(process.name)
    while number not in (0, os.getpid()):
        number = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    return number > 0


def memory() -> float:
    """MB of memory that the processes of this script's Chromium have of their own."""
    kilobytes = 0
    for status in Path("/proc").glob("[0-9]*/smaps_rollup"):
        try:
            if b"chromium" in (status.parent / "cmdline").read_bytes() and started_here(status.parent):
                lines = status.read_text().splitlines()
                kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        except OSError:  # it has ended
            continue
    return kilobytes / 1024


def visit(browser: Any, **options: Any) -> Page:
    """A page whose camera runs."""
    page = browser.new_context(permissions=["camera"], **options).new_page()
    page.goto(f"{URL}?backend=wasm")
    wait(page, "document.getElementById('engine').textContent.includes('ms')")
    page.click("#camera")
    return page


@contextmanager
def served() -> Iterator[Any]:
    """`cardpose app`, and Playwright."""
    server = subprocess.Popen(
        [sys.executable, "-m", "cardpose.app", "--port", str(PORT)], stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(URL)
                break
            except OSError:
                time.sleep(0.1)
        with sync_playwright() as playwright:
            yield playwright
    finally:
        server.terminate()


def launch(playwright: Any, *words: str) -> Any:
    """Chromium with some words of its command line."""
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", *words])


def live(clips: list[str], rate: int, minutes: float) -> None:
    """Print the figures of clips as the camera, of the start and of the memory."""
    with tempfile.TemporaryDirectory() as folder, served() as playwright:
        for clip in clips:
            video = Path(folder, "camera.y4m")
            seconds = write_video(clip, video, rate)
            browser = launch(
                playwright,
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={video}",
            )
            page = visit(browser)
            wait(page, "window.cardpose.stats.frames > 0")
            begin, first = time.monotonic(), page.evaluate("window.cardpose.stats.frames")
            page.wait_for_timeout(1000 * seconds)
            drawn = (page.evaluate("window.cardpose.stats.frames") - first) / (time.monotonic() - begin)
            ages = np.array(page.evaluate("window.cardpose.stats.ages"))
            count = page.evaluate("window.cardpose.count")
            low, high, most = np.percentile(ages, (50, 99, 100))
            print(
                f"{Path(clip).stem}: {drawn:.1f} frames/s, age {low:.0f} / {high:.0f} / {most:.0f} ms, "
                f"{count['cards']:.1f} cards{'' if count['settled'] else ' (not settled)'}, "
                f"cardpose predict {counted(clip, Path(folder)):.1f}",
                flush=True,
            )
            if clip != clips[-1]:
                browser.close()
        starts = []
        for _ in range(3):  # from the browser's caches
            begin = time.monotonic()
            page.reload()
            wait(page, "document.getElementById('engine').textContent.includes('ms')")
            page.click("#camera")
            wait(page, "window.cardpose.stats.frames > 0")
            starts.append(time.monotonic() - begin)
        print("start, cached, to the first answer:", *(f"{one:.1f} s" for one in starts), flush=True)
        if minutes:
            page.wait_for_timeout(60_000)
            print(f"memory after 1 minute: {memory():.0f} MB", flush=True)
            page.wait_for_timeout(60_000 * (minutes - 1))
            print(f"memory after {minutes:g} minutes: {memory():.0f} MB")
        browser.close()


IN_PAGE = """async (frames) => {
  const { Network } = await import("./network.js"), { RunningCount } = await import("./fusion.js");
  window.own ??= await new Network("wasm").open();
  const running = new RunningCount(own.about.fusion, own.about.interval), estimates = [];
  let clip;
  for (const png of frames) {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    estimates.push(await own.estimate(await createImageBitmap(image)));
    clip = running.add(estimates.at(-1));
  }
  return { estimates, clip };
}"""


def parity(clips: list[str]) -> None:
    """Print how far page and Python are apart for the same pixels."""
    files = {"ONNX Runtime": find_model("packet-fast", exported=True), "PyTorch": find_model("packet-fast")}
    answers = []
    with served() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        page.goto(URL)
        for clip in clips:
            images = [frame.image for frame in iterate(clip)]
            pngs = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images]
            answer = page.evaluate(IN_PAGE, [base64.b64encode(png).decode() for png in pngs])
            answers.append((answer, images))
        browser.close()
    for name, file in files.items():
        print(f"| page - Python with {name} | median | 99 % | most |")
        predictor, away = Predictor.from_file(file), dict[str, list[Any]]()
        for answer, images in answers:
            own = list(predictor.stream(images))
            for there, here in zip(answer["estimates"], own, strict=True):
                away.setdefault("corners, pixels", []).extend(
                    np.linalg.norm(np.array(there["corners"]) - here.corners, axis=1)
                )
                good = "" if here.flag == 0 else " of a frame that is not used"
                away.setdefault(f"cards{good}", []).append(abs(there["cards"] - here.cards))
                away.setdefault("flags", []).append(float(there["flag"] != here.flag))
            columns = ([one.cards for one in own], [one.cards_std for one in own], [one.flag for one in own])
            clip = fuse(*map(np.array, columns), predictor.fusion, predictor.interval)
            away.setdefault("fused cards of a clip", []).append(abs(answer["clip"]["cards"] - clip.cards))
            away.setdefault("its interval", []).append(abs(answer["clip"]["high"] - clip.high))
            away.setdefault("frames used", []).append(abs(answer["clip"]["frames"] - clip.frames_used))
        for what, values in away.items():
            print(f"| {what} |", " | ".join(f"{v:.4f}" for v in np.percentile(values, (50, 99, 100))), "|")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--rate", type=int, default=30, help="of the camera, frames/s")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--parity", action="store_true")
    words = parser.parse_args()
    if words.parity:
        parity(words.clips)
    else:
        live(words.clips, words.rate, words.minutes)


if __name__ == "__main__":
    main()
