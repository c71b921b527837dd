"""Train a model on folders of photos: `python train.py cyclegan --data DIR --out runs/NAME`."""

import sys

from cyclegan.cli import train

if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]))
