"""The colours of all figures and of the page, safe for colour-blind readers."""

# Okabe and Ito's palette; the baseline is black, a control grey
OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
OKABE_ITO_DARK = ["#56B4E9", "#F0853A", "#2CC79C", "#E3A2C6", "#F0B93A", "#9AD0F0"]  # dark page
# from the largest loss over zero to the largest gain
LOSS, ZERO, GAIN = "#B8432F", "#F3F4F6", "#1F6FB2"
# of a line per recipe, whose values are gains and losses: neither red nor blue
SERIES = ["#009E73", "#CC79A7", "#E69F00", "#222222", "#7B5AA6", "#8C7A3D"]
GREY, PALE, RULE = "#8A8A8A", "#ECECEC", "#E4E4E4"
