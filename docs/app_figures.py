"""What the app does in Chromium: `python docs/app_figures.py CLIP.mp4... [--minutes 10]`.

Each clip is the camera, as uncompressed 640x480 video at 30 frames/s in which every frame of the clip stays for two
thirds of a second, one loop long. Prints frames/s, the age of a frame when its box is drawn, and the count, beside that
of `cardpose predict` on the file. Then the time that a second visit takes to its first answer, and with --minutes
the memory of Chromium's processes. Needs Playwright, Chromium and `make app`.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from cardpose.data.footage.video import iterate
from cardpose.predict import predict

PORT, RATE, REPEATS = 8719, 30, 20
URL = f"http://127.0.0.1:{PORT}/"


def write_video(clip: str, video: Path) -> float:
    """Write the clip as the camera shows it; returns the seconds of one loop."""
    frames = [cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420).tobytes() for frame in iterate(clip)]
    with video.open("wb") as file:
        file.write(f"YUV4MPEG2 W640 H480 F{RATE}:1 Ip A1:1 C420\n".encode())
        for frame in frames:
            file.write((b"FRAME\n" + frame) * REPEATS)
    return len(frames) * REPEATS / RATE


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


def memory() -> float:
    """MB of memory that Chromium's processes have of their own."""
    kilobytes = 0
    for status in Path("/proc").glob("[0-9]*/smaps_rollup"):
        try:
            if b"chromium" in (status.parent / "cmdline").read_bytes():
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


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--minutes", type=float, default=0.0)
    words = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-m", "cardpose.app", "--port", str(PORT)], stdout=subprocess.DEVNULL
    )
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for _ in range(100):
            try:
                urllib.request.urlopen(URL)
                break
            except OSError:
                time.sleep(0.1)
        try:
            for clip in words.clips:
                video = Path(folder, "camera.y4m")
                seconds = write_video(clip, video)
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"),
                    args=[
                        "--no-sandbox",
                        "--use-fake-device-for-media-stream",
                        f"--use-file-for-fake-video-capture={video}",
                    ],
                )
                page = visit(browser)
                wait(page, "window.cardpose.stats.frames > 0")
                begin, first = time.monotonic(), page.evaluate("window.cardpose.stats.frames")
                page.wait_for_timeout(1000 * seconds)
                rate = (page.evaluate("window.cardpose.stats.frames") - first) / (time.monotonic() - begin)
                ages = np.array(page.evaluate("window.cardpose.stats.ages"))
                count = page.evaluate("window.cardpose.count")
                low, high, most = np.percentile(ages, (50, 99, 100))
                print(
                    f"{Path(clip).stem}: {rate:.1f} frames/s, age {low:.0f} / {high:.0f} / {most:.0f} ms, "
                    f"{count['cards']:.1f} cards{'' if count['settled'] else ' (not settled)'}, "
                    f"cardpose predict {counted(clip, Path(folder)):.1f}",
                    flush=True,
                )
                if clip != words.clips[-1]:
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
            if words.minutes:
                page.wait_for_timeout(60_000)
                print(f"memory after 1 minute: {memory():.0f} MB", flush=True)
                page.wait_for_timeout(60_000 * (words.minutes - 1))
                print(f"memory after {words.minutes:g} minutes: {memory():.0f} MB")
            browser.close()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
