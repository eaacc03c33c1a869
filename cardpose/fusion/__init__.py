"""From estimates of single frames to one count per clip.

settings    FusionConfig: all constants of this package (conf/fusion), stored with every model
averages    weighted median and midmean
clips       flags of frames that should not count; the weighted midmean of the others
intervals   conformal interval of a clip's count, calibrated on validation videos
videos      the estimates of all labelled videos: scores, tables and calibration use them
"""
