"""Footage without a camera: rendered clips of packets on a table, with exact labels.

A map, in the order of the data::

    distributions.py  SceneConfig: what scenes are drawn from, one file in conf/scene a choice
    scene.py          SceneConfig -> Clip -> Shot: everything random is drawn here, from (seed, clip, frame)
    clutter.py        draws what lies about; sampling.py small draws; pictures.py pictures of the user's
    records.py        Clip and its parts: packet, back, table, light, sensor, camera path
    camera.py         the pinhole camera: projection and the homographies of horizontal planes
    box.py            the packet as a stack of outlines; its eight corners, their names, their visibility
    textures.py       pixels from parameters: card backs, table surfaces, light and shadow on the table
    faces.py          the faces of cards
    surface.py        the table as the camera sees it, prefiltered with distance
    stack.py          the packet as the camera sees it, card by card
    occluders.py      fingers, coins and glasses, and what they cover
    sensor.py         defocus, motion blur, vignetting, noise
    render.py         Renderer(clip).frame(shot) -> RGB image
    labels.py         the annotations of a clip, from geometry alone, so labels need no rendering
    stream.py         endless frames for training, rendered as they are needed
    generate.py       clips to a folder, parallel and resumable
    preview.py        a contact sheet with the corners drawn in

World frame: millimetres, origin on the table under the packet's centre, x along its short edges, y along its
long edges, z up. Image frame: that of `cardpose.common.packet`.

Adding a new effect: its parameters go into a dataclass of records.py, with a range in distributions.py and
in every conf/scene file, drawn from that part's own random stream, so that the other parts stay what they
were; its pixels go into the module that draws the part.
"""
