"""The arm in 3-D in a browser, by viser (extra `web`): its links as the safety filter knows them, the table.

Solid is where it is measured, see-through where it is commanded to be.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.geometry import Geometry
from ideomotor.control.safety.kinematics import Kinematics
from ideomotor.sim.rendering.mujoco_gl import mujoco

EVERY_S = 0.05
MEASURED, COMMANDED = (74, 125, 214), (240, 140, 20)  # RGB


class ArmView:
    """A page of its own on loopback.

    Attributes:
        port: of it.
        frames: {measured, commanded: the page's frame of each link, in the order of `Kinematics.names`}.

    Args:
        port: 0 for any.

    Raises:
        UserError: the extra is not installed.
    """

    def __init__(self, embodiment: Embodiment, geometry: Geometry, port: int = 0) -> None:
        import viser

        self._kinematics = Kinematics(embodiment, geometry)
        with contextlib.redirect_stdout(None):  # it would say where it is, and the page is elsewhere
            self._server = viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
        self.port = self._server.get_port()
        self._server.gui.configure_theme(show_logo=False, show_share_button=False)
        self._server.gui.main_panel.minimize()
        scene = self._server.scene
        scene.set_up_direction("+z")
        height = geometry.table_height or 0.0
        scene.add_grid("/table", width=1.0, height=1.0, cell_size=0.1, position=(0.2, 0.0, height))
        self.frames = {
            kind: [scene.add_frame(f"/{kind}/{name}", show_axes=False) for name in self._kinematics.names]
            for kind in ("measured", "commanded")
        }
        for link in geometry.links:
            for i, box in enumerate(link.boxes):
                for kind, colour, opacity in (("measured", MEASURED, 1.0), ("commanded", COMMANDED, 0.35)):
                    scene.add_box(
                        f"/{kind}/{link.name}/{i}", color=colour, dimensions=2 * np.array(box.half),
                        wxyz=np.array(box.quaternion), position=np.array(box.position), opacity=opacity,
                    )  # fmt: skip

        @self._server.on_client_connect
        def _(client: viser.ClientHandle) -> None:
            client.camera.position, client.camera.look_at = (0.7, -0.5, 0.5), (0.15, 0.0, 0.1)

    def follow(self, pose: Callable[[], tuple[np.ndarray, np.ndarray] | None]) -> None:
        """Shows what `pose` says, (measured, commanded), for ever."""
        while True:
            if (both := pose()) is not None:
                self.show(*both)
            time.sleep(EVERY_S)

    def show(self, measured: np.ndarray, commanded: np.ndarray) -> None:
        """Both arms where these joints, (A,), have them; one that is not known stays."""
        with self._server.atomic():
            for frames, position in zip(self.frames.values(), (measured, commanded), strict=True):
                if np.isfinite(position).all():
                    self._place(frames, position)

    def stop(self) -> None:
        """Ends its server."""
        self._server.stop()

    def _place(self, handles: list, position: np.ndarray) -> None:
        poses = self._kinematics.frames(position[None])[:, 0].transpose(1, 0, 2)  # (F, 3, 4)
        for handle, pose in zip(handles, poses, strict=True):
            handle.position, handle.wxyz = pose[:, 3], _quaternion(pose[:, :3])


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """(4,) wxyz of a rotation matrix (3, 3)."""
    result = np.zeros(4)
    mujoco.mju_mat2Quat(result, np.ascontiguousarray(rotation).ravel())
    return result
