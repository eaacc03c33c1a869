"""The training objective.

packet_loss  the weighted sum of all terms, of a batch and of a whole set
heatmaps     terms of the heatmaps: squared error, and distance of the soft-argmax

Adding a new term: a function here that is 0 for a perfect prediction and 1 for one that knows nothing, its name in
`packet_loss.TERMS`, a line each in `PacketLoss.forward` and `_items`, and its weight in conf/loss/default.yaml.
"""
