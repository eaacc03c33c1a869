"""Labelling: which frames to label, the page on which they are labelled, and checks of the labels.

::

    frame_selection.py  selects frames of a video: every n-th, the sharpest, the most diverse (`cardpose subsample`)
    subsampling.py      adds those frames of videos to a dataset folder
    suggesting.py       runs a model over the candidates for a label
    suggestion.py       ranks frames by what their label would add to a model (`cardpose suggest`)
    checks/             finds faults in footage and labels (`cardpose check`)

    the page (`cardpose label`), a web server on this machine
    worklist.py   the frames to label and their order
    pictures.py   the frames as files that a browser displays
    proposals.py  a model's prediction and uncertainty for each frame
    app.py        the HTTP interface (Starlette)
    guard.py      access control
    serve.py      the listening socket, and uvicorn
    page/         the page: HTML, CSS, JavaScript modules and corners.svg, the picture of the corner names

Labels are stored by `cardpose.data.labels.store.LabelFolder`.

Adding a new request of the page: a function in app.py, its row in `build_app` and in the table of its docstring, and a
call of `ask` in page/. tests/labelling/test_app.py tests the interface, test_page*.py the page in Chromium.
"""
