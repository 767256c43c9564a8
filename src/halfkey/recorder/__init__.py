"""Recording a conference to Matroska, as a participant that sends nothing.

What is decoded flows one way: `session` reads the Endpoint's tracks and hands every frame with its
arrival to `worker`, a thread. There `timeline` says when each frame belongs in the recording
(`clock`), lays out sound (`audio`) and notices who speaks (`speaker`). A layout writes it:
`composed` draws one picture (`grid`, `scene`) and mixes one sound, `tracks` writes each source by
itself. `matroska` is the file, and `finishing` adds what is known only at the end.
"""
