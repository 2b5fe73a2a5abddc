"""The spiking side as files and arithmetic: the typed network, the integer reference and its lowerings."""
