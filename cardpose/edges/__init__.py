"""Count the edges of the cards in the source frame, where a card is wide enough there.

strips      cut the visible sides of a packet out of the frame
rendering   rendered strips with their centre lines, to train on
network     marks the centre line of each card
tracing     the period of the cards, and the likely lines at that period
counting    lines to a count, and whether to be sure of it
classical   counters without training, the baselines
training    train, calibrate and write the network of the zoo
"""
