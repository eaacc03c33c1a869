"""The page in Chromium, with a film as its camera and a tiny model."""

import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cardpose.app.model import PageModel
from cardpose.app.site import POLICY, Site, write

Come = Callable[..., Any]


class QuietFiles(SimpleHTTPRequestHandler):
    """A web host's files."""

    def log_message(self, format: str, *args: Any) -> None: ...


def test_the_camera_counts_until_sure_and_a_tap_holds(phone: Come) -> None:
    person = phone().counts()
    assert person.text("count").startswith("23 cards (22 to 24)")
    assert person.page.evaluate("cardpose.backend") in ("wasm", "threads")
    person.page.click("#stage")
    assert person.page.get_attribute("body", "data-state") == "held"
    person.page.keyboard.press("Enter")  # the stage has the focus
    assert person.page.get_attribute("body", "data-state") == "live"
    person.page.click("#show-history")
    assert "23 cards (22 to 24)" in person.text("answers")


def test_no_request_leaves_the_origin(phone: Come, url: str) -> None:
    person = phone().counts()
    assert person.requests
    assert all(request.startswith((url, "blob:")) for request in person.requests)
    script = "fetch('https://192.0.2.1/').then(() => 'went', (error) => error.name)"
    assert person.page.evaluate(script) == "TypeError"


def test_it_works_offline_after_the_first_visit(phone: Come, serve: Any, site: Site) -> None:
    person = phone(at=serve(site)).ready()
    script = "navigator.serviceWorker.ready.then((found) => found.active.state)"
    person.until(lambda: person.page.evaluate(script) == "activated")
    person.until(lambda: person.page.evaluate("Boolean(navigator.serviceWorker.controller)"))
    serve.stop()
    person.page.reload()
    person.counts()
    assert person.page.evaluate("crossOriginIsolated")


def test_a_web_host_that_sends_no_headers(phone: Come, site: Site, tmp_path: Path) -> None:
    """From the second visit on the service worker adds them, for the worker that computes too."""
    write(site, tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        person = phone(at=f"http://127.0.0.1:{server.server_port}/").ready()
        person.until(lambda: person.page.evaluate("Boolean(navigator.serviceWorker.controller)"))
        server.shutdown()
    person.page.reload()
    person.ready()
    assert person.page.evaluate("crossOriginIsolated")
    script = "fetch('worker.js').then((answer) => answer.headers.get('content-security-policy'))"
    assert person.page.evaluate(script) == POLICY


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "void (navigator.mediaDevices.getUserMedia = async () => "
            "{ throw new DOMException('', 'NotAllowedError'); })",
            "refused",
        ),
        ("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })", "HTTPS"),
    ],
    ids=["refused", "insecure"],
)
def test_a_camera_that_is_not_given(phone: Come, script: str, said: str) -> None:
    person = phone().ready()
    person.page.evaluate(script)
    person.page.click("#camera")
    person.until(lambda: said in person.text("message"))
    assert person.page.is_visible("#camera")


def test_no_camera(phone: Come) -> None:
    person = phone(film=None).ready()
    person.page.click("#camera")
    person.until(lambda: "no camera" in person.text("message"))


def test_a_camera_that_is_taken_away(phone: Come) -> None:
    person = phone().counts()
    script = (
        "document.getElementById('video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
    )
    person.page.evaluate(script)
    person.until(lambda: "taken away" in person.text("message"))
    person.page.click("#camera")
    person.until(lambda: "sure" in person.text("detail"))


def test_one_thread_only(phone: Come, url: str) -> None:
    person = phone(at=f"{url}?backend=wasm").counts()
    assert "wasm" in person.text("engine")


def test_no_packet(phone: Come) -> None:
    person = phone(film="dark").ready()
    person.page.click("#camera")
    person.until(lambda: person.text("advice") == "No packet in view")
    assert "Point the camera" in person.text("detail")


def test_a_packet_that_is_cut_off_is_still_the_same_one(phone: Come) -> None:
    """The count begins anew once no corner at all has been in view for a while."""
    person = phone().ready().watches(230).counts()
    person.page.evaluate("grey = 70")
    person.until(lambda: person.text("advice") == "Whole packet in view")
    person.page.wait_for_timeout(1700)
    assert person.text("count").startswith("23 cards")
    person.page.evaluate("grey = 10")
    person.until(lambda: person.text("advice") == "No packet in view")
    person.until(lambda: "Point the camera" in person.text("detail"))


@pytest.mark.parametrize("side", ["environment", ""], ids=["phone", "machine whose cameras have no sides"])
def test_light_and_the_other_camera(phone: Come, side: str) -> None:
    person = phone().ready().watches(230)
    person.page.evaluate(
        """(facingMode) => {
          const track = MediaStreamTrack.prototype, devices = ["a", "b"];
          Object.assign(track, {
            getCapabilities: () => ({ torch: true }), getSettings: () => ({ deviceId: "a", facingMode }),
            applyConstraints: async (wanted) => { window.wanted = wanted; },
          });
          const all = devices.map((deviceId) => ({ kind: "videoinput", deviceId }));
          navigator.mediaDevices.enumerateDevices = async () => all;
        }""",
        side,
    )
    person.counts().page.click("#torch")
    person.until(lambda: person.page.get_attribute("#torch", "aria-pressed") == "true")
    assert person.page.evaluate("wanted") == {"advanced": [{"torch": True}]}
    person.page.click("#switch")
    person.until(lambda: person.page.get_attribute("#torch", "aria-pressed") == "false")
    first, second = person.page.evaluate("asked")
    assert first["facingMode"] == {"ideal": "environment"}
    named = {"facingMode": {"ideal": "user"}} if side else {"deviceId": {"exact": "b"}}
    assert named.items() <= second.items()
    person.until(lambda: "sure" in person.text("detail"))


def test_a_photo_by_the_camera(phone: Come) -> None:
    """Of full resolution where the camera takes photos, else its newest frame."""
    person = phone().ready().watches(230).counts()
    script = """(able) => { window.ImageCapture = class {
      async takePhoto() {
        if (!able) throw new Error("no photos");
        const canvas = Object.assign(document.createElement("canvas"), { width: 1600, height: 1200 });
        const context = canvas.getContext("2d");
        context.fillStyle = "white";
        context.fillRect(0, 0, 1600, 1200);
        return new Promise((done) => { canvas.toBlob(done); });
      }
    }; }"""
    for able, width in ((True, 1600), (False, 640)):
        person.page.evaluate(script, able)
        person.page.click("#photo")
        person.until(lambda: person.page.get_attribute("body", "data-state") == "still")
        person.until(lambda: "23 cards" in person.text("count"))
        assert person.page.evaluate("document.getElementById('still').width") == width
        person.counts()


def test_a_photo_of_twelve_megapixels(phone: Come, tmp_path: Path) -> None:
    picture = tmp_path / "large.jpg"
    cv2.imwrite(str(picture), np.full((3000, 4000, 3), 230, np.uint8))
    person = phone().ready()
    person.page.set_input_files("#file", str(picture))
    person.until(lambda: "23 cards" in person.text("count"))
    assert person.page.is_visible("#share")
    with person.page.expect_download() as saved:
        person.page.click("#share")
    shared = cv2.imread(str(saved.value.path()))
    assert shared.shape == (3000, 4000, 3)


def test_the_first_count_is_shown_at_once_and_later_ones_after_a_moment(phone: Come) -> None:
    """Also after the answer was written again, as in another language."""
    shown = (
        phone()
        .ready()
        .page.evaluate(
            """async () => {
          const { showAnswer, refresh } = await import("./view.js"), shown = [];
          const show = (cards) => {
            showAnswer({ cards, low: NaN, high: NaN, frames: 1, settled: false }, NaN);
            shown.push(document.getElementById("count").textContent);
          };
          showAnswer(null);
          show(5);
          show(6);
          refresh();
          shown.push(document.getElementById("count").textContent);
          await new Promise((done) => setTimeout(done, 450));
          show(7);
          return shown;
        }"""
        )
    )
    assert shown == ["5 cards", "5 cards", "6 cards", "7 cards"]


def test_a_film_of_the_phone(phone: Come, tmp_path: Path) -> None:
    """At its end the answer is held, and a camera can be started."""
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "film.webm"), "w") as film:
        stream = film.add_stream("libvpx", rate=30)
        stream.width, stream.height, stream.pix_fmt = 90, 160, "yuv420p"
        for _ in range(20):
            image = np.full((160, 90, 3), 230, np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        film.mux(stream.encode())
    person = phone().ready()
    person.page.set_input_files("#file", str(tmp_path / "film.webm"))
    person.until(lambda: person.page.get_attribute("body", "data-state") == "held")
    assert person.text("count").startswith("23 cards")
    assert person.page.evaluate("[overlay.width, overlay.height]") == [90, 160]
    person.counts()


def test_a_file_that_is_no_picture(phone: Come, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    person = phone().ready()
    person.page.set_input_files("#file", str(tmp_path / "x.png"))
    person.until(lambda: "cannot be shown" in person.text("message"))


def test_a_broken_model(phone: Come, serve: Any, site: Site, model: PageModel) -> None:
    person = phone(at=serve(Site(PageModel(b"\x08broken", model.about))))
    person.until(lambda: "The model cannot be used" in person.text("message"))
    person.page.click("#camera")
    person.until(lambda: "The model cannot be used" in person.text("message"))


def test_a_magician_sees_the_count_by_a_gesture(phone: Come) -> None:
    person = phone()
    person.page.evaluate("void (navigator.vibrate = (pattern) => { document.title = pattern.join(); })")
    person.ready().page.click("#show-settings")
    person.page.check("#magic")
    person.page.keyboard.press("Escape")
    person.page.click("#camera")
    person.until(lambda: person.page.title().startswith("500,180,500,180,120"))
    assert "23" not in person.text("answer")
    person.page.keyboard.down("v")
    person.until(lambda: "23 cards" in person.text("count"))
    person.page.keyboard.up("v")
    person.until(lambda: "23" not in person.text("answer"))


def test_calibration_stays_on_the_phone(phone: Come) -> None:
    person = phone().counts()
    person.page.click("#hold")
    person.page.click("#show-settings")
    person.page.fill("#known", "46")
    person.page.click("#calibrate")
    assert "times 2.00" in person.text("calibration")
    assert person.text("count").startswith("46 cards (44 to 48)")  # the held answer, too
    person.page.reload()
    person.counts()
    assert person.text("count").startswith("46 cards (44 to 48)")


def test_spanish(phone: Come) -> None:
    person = phone(locale="es-ES").ready()
    assert person.text("camera") == "Iniciar cámara"
    assert person.page.get_attribute("html", "lang") == "es"
    person.page.click("#show-settings")
    person.page.select_option("#language", "en")
    assert person.text("camera") == "Start camera"


@pytest.mark.parametrize("size", [(360, 640), (640, 360), (1280, 800)], ids=str)
def test_everything_fits_is_large_enough_and_has_a_name(phone: Come, size: tuple[int, int]) -> None:
    person = phone(viewport={"width": size[0], "height": size[1]}).counts()
    assert person.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    for button in person.page.get_by_role("button").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44
        assert button.get_attribute("aria-label") or button.inner_text().strip()
    assert person.page.get_attribute("#count", "aria-live") == "polite"
    script = (
        "(() => { const it = document.getElementById('count'); it.textContent = '104 cards (100 to 104)';"
        " return it.scrollWidth - it.clientWidth; })()"
    )
    assert person.page.evaluate(script) <= 0  # the longest answer
    overlay, stage = (person.page.locator(name).bounding_box() for name in ("#overlay", "#stage"))
    assert overlay == stage
    person.page.click("#hold")
    assert person.page.locator("#stage").bounding_box() == stage  # no state moves the picture
    person.page.reload()
    assert person.page.locator("#stage").bounding_box() == stage


def test_the_keyboard_reaches_everything(phone: Come) -> None:
    person = phone().ready()
    person.page.keyboard.press("Tab")
    reached = []
    for _ in range(6):
        reached.append(person.page.evaluate("document.activeElement.id"))
        person.page.keyboard.press("Tab")
    assert reached[:5] == ["stage", "camera", "open", "show-history", "show-settings"]


def test_pixels_are_the_same_with_and_without_video_frames(phone: Come) -> None:
    """Copied into memory that is used again, or drawn on a canvas: another size in between, and all colours."""
    script = """async () => {
        const picture = (width, height) => {
            const made = new ImageData(width, height);
            for (let i = 0; i < made.data.length; i++) made.data[i] = i % 4 === 3 ? 255 : (i * 7919) % 256;
            return made;
        };
        const away = [];
        const hidden = self.VideoFrame;
        for (const name of ["./pixels.js", "./pixels.js?canvas"]) {
            if (name.endsWith("canvas")) self.VideoFrame = undefined;
            const { pixelsOf } = await import(name);
            let before;
            for (const size of [[64, 48], [31, 77], [31, 77]]) {
                const wanted = picture(...size), bitmap = await createImageBitmap(wanted);
                const { data, width, height } = await pixelsOf(bitmap);
                const apart = data.map((value, i) => Math.abs(value - wanted.data[i]));
                away.push([width === size[0], height === size[1], bitmap.width, Math.max(...apart), data === before]);
                before = data;
            }
        }
        self.VideoFrame = hidden;
        return away;
    }"""
    answers = phone().page.evaluate(script)
    assert [answer[:4] for answer in answers] == [[True, True, 0, 0]] * 6
    assert [answer[4] for answer in answers] == [False, False, True, False, False, False], (
        "memory is used again"
    )
