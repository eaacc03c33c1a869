"""The labelling page: a small web server on this machine, and the page that it shows.

::

    worklist.py   which frames, in which order
    pictures.py   their pictures, as files that a browser shows
    boxcheck.py   the box that fits the corners: where the others must be, and which does not belong
    proposals.py  what a model says of each frame, and how unsure it is
    app.py        what the page asks for, over HTTP (Starlette)
    guard.py      who may ask
    serve.py      an address to listen on, and uvicorn
    page/         the page itself: HTML, CSS and JavaScript modules, as they are

The labels are `cardpose.data.labels.store.LabelFolder`'s.
"""
