"""``python -m gpufleet`` is ``gpufleet``."""

from gpufleet.cli import main

if __name__ == "__main__":
    main()
