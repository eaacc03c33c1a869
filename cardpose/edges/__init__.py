"""Count the edges of the cards in the source frame, where a card is wide enough there.

strips        cut the visible sides of a packet out of the frame
levelling     make the lines of a strip level
network       marks the centre line of each card, the packet and the local period
tracing       the best chain of lines for each count, and the period of the brightness
counting      evidence for each count, the count, and how probably it is exact
classical     counters without training, the baselines
surfaces, rendering, exposure    rendered strips with their centre lines, to train on
training, calibration            train, calibrate and write the network of the zoo
measure, measure_clips           the tables of docs/exact_count.md
"""
