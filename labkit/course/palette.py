"""The course's colours: each means one thing on every page."""

# Okabe & Ito's palette (2008), told apart by readers with any common colour blindness. One meaning each, for the
# whole course; a line is also labelled where it stands, so colour is never the only carrier.
COLORS = {
    "offered": "#4D4D4D",       # what users want
    "attempts": "#E69F00",      # what is sent, retries included
    "goodput": "#009E73",       # what users get
    "wasted": "#D55E00",        # work done for nobody, wrong or lost answers
    "waiting": "#56B4E9",       # queues, delays
    "theory": "#000000",        # formula
    "simulated": "#0072B2",     # simulation
    "real": "#CC79A7",          # a real system, measured
}
SHADE = "#D8D4C9"               # while the trigger lasts; grid
PAPER = "#EFECE3"               # a quiet card: not glaring on a dark page, and every colour above can be told on it
