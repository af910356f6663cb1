"""Lets torchvision be imported beside a torch that it was not built for, in the environment of lerobot.

PyPI has torchvision's Linux wheels for CUDA builds only, whose C++ operators do not load beside a CPU build
of torch. torchvision goes on without them, except that it describes one (`nms`) that then does not exist.
lerobot needs none of them: it takes transforms and the video reader, which are plain Python. So the operator
is declared, without an implementation, when it is missing. A .pth file imports this at start-up.
"""

import sys
from importlib.abc import MetaPathFinder


class _BeforeItIsDescribed(MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision._meta_registrations":
            sys.meta_path.remove(self)
            _declare_nms()
        return None  # whoever comes next finds the module


def _declare_nms():
    import torch

    extension = sys.modules["torchvision.extension"]
    if not extension._has_ops():
        torch.library.define("torchvision::nms", "(Tensor dets, Tensor scores, float threshold) -> Tensor")


sys.meta_path.insert(0, _BeforeItIsDescribed())
