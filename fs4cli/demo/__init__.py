"""The embedded default: draws a folder of scenes and runs the whole job on it, with nothing to download.

from fs4cli.demo import draw_scene, draw_mosaic, run_demo
"""

from fs4cli.demo.mosaics import draw_mosaic
from fs4cli.demo.run import DemoResult, run_demo
from fs4cli.demo.scenes import Scene, draw_scene

__all__ = ["DemoResult", "Scene", "draw_mosaic", "draw_scene", "run_demo"]
