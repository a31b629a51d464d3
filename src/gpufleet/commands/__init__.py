"""The commands of ``gpufleet``, by what they work on; `gpufleet.cli` puts them on the command line."""
