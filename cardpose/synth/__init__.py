"""Synthetic footage: rendered clips of packets on a table, with exact labels.

In the order of the data::

    sampling/             what is drawn: everything random, from (seed, clip, frame)
        distributions.py  SceneConfig: the ranges of a file of conf/scene
        scene.py          SceneConfig -> Clip -> Shot
        clutter.py        fingers, coins and glasses
        draws.py          small random draws that they share
        pictures.py       the user's own pictures of tables and card backs
    records.py            Clip and its parts: packet, back, table, light, sensor, camera path
    rendering/            how it looks
        camera.py         the pinhole camera: projection, homographies of planes
        box.py            the packet's outline; its eight corners, their names and visibility
        labels.py         Clip, Shot -> Annotation; needs no rendering
        renderer.py       Renderer(clip).frame(shot) -> RGB image, in the order of the next five
        surface.py        the table, prefiltered by distance
        stack.py          the packet, card by card
        occluders.py      fingers, coins and glasses, and which corners they hide
        sensor.py         defocus, motion blur, vignetting, noise
        textures.py, faces.py   card backs, tables and card faces
    dataset.py            renders a dataset folder, in parallel and resumable
    stream.py             an endless stream of frames for training
    preview.py            a contact sheet with the labels drawn in

World frame: millimetres; origin on the table under the packet's centre, x along its short edges, y along its long
edges, z up. Image frame: that of `cardpose.common.packet`. Angles are in radians, except in conf/scene.

Adding a new effect: give its parameters to a dataclass of records.py and its range to distributions.py and to
conf/scene/baseline.yaml, so that baseline keeps its pixels; sample it in scene.py as the last draw of its part's random
stream, so that the other draws do not change; and draw it in the module that renders the part. Increase
`rendering.renderer.VERSION` if existing scenes change.
"""
