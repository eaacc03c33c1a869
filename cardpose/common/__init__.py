"""What every wing may use; imports no other wing.

::

    errors.py          InputError, the exception for invalid input, and error handlers
    packet.py          the names of the corners, and the records passed between wings
    files.py           files and folders written atomically
    exits.py           exit codes, and errors in one line
    scores.py          one row a score: key, label, unit, format, and which values are better
    images.py          image files
    json_files.py      JSON files, checked
    locks.py           files that one process at a time holds
    threads.py         numbers of cores and threads
    prefetch.py        a generator that runs ahead in another thread
    subprocesses.py    commands in processes of their own
    progress.py        the progress bar
    command_line.py    command lines of tools, on Typer
    completion.py      completion of commands and options in the shell
    hydra_entry.py     command lines of experiments, on Hydra
    hydra_words.py     checks of their overrides
    distributed/       several processes that train one model

Adding a command: see `command_line` for a tool, `hydra_entry` for an experiment.
"""
