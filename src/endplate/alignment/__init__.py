"""Alignment: how a whole spine stands over the hips, from landmarks of radiographs."""
