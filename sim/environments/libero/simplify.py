"""A scene with fewer triangles and smaller textures, for pictures of a few hundred pixels under software
OpenGL.

LIBERO's scenes have 300,000 visible triangles and a gigabyte of textures after decoding (bowls of 42,000,
plates with 4096 x 4096 pixels), of which a picture of 128 pixels shows nothing. Only what is drawn is
changed: meshes of geoms that touch something keep every vertex, masses and inertias are those of the full
scene.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np

from ideomotor.sim.rendering.mujoco_gl import mujoco

FACES = 1500  # of a mesh that is only drawn, about
TEXTURE = 256  # pixels, the longer side
GRIDS = (40, 32, 26, 20, 16, 12, 9)  # cells along a mesh's longest side, tried in turn


def simplified(xml: str, textures: Path) -> mujoco.MjModel:
    """The compiled scene with few triangles; shrunken textures are kept in the folder `textures`."""
    small = _with_small_textures(xml, textures)
    full = mujoco.MjModel.from_xml_string(small)
    spec = mujoco.MjSpec.from_string(
        small
    )  # not the compiled one, whose meshes keep what they were read with
    drawn_only = _drawn_only(full)
    for mesh in spec.meshes:
        index = full.mesh(mesh.name).id
        if index not in drawn_only or full.mesh_facenum[index] <= FACES:
            continue
        vertices, faces, normals, coordinates = _mesh(full, index)
        vertices, faces, kept = clustered(vertices, faces)
        mesh.file = ""
        mesh.scale = [1.0, 1.0, 1.0]
        mesh.refpos, mesh.refquat = [0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]
        # A corner of a face is a vertex of its own: positions, normals and texture then share their indices.
        mesh.uservert = vertices[faces].ravel().tolist()
        mesh.userface = np.arange(faces.size).tolist()
        mesh.usernormal = normals[0][normals[1][kept]].ravel().tolist()
        mesh.userfacenormal = np.arange(faces.size).tolist()
        if len(coordinates[0]):
            mesh.usertexcoord = coordinates[0][coordinates[1][kept]].ravel().tolist()
            mesh.userfacetexcoord = np.arange(faces.size).tolist()
    return spec.compile()


def clustered(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A mesh whose vertices that share a cell of a grid are one (Rossignac and Borrel, 1993).

    Faces keep their sides: the inner and the outer wall of a bowl may come to lie in one place, and both are
    seen.

    Args:
        vertices: (V, 3) [m].
        faces: (F, 3) indices of vertices.

    Returns:
        (v, 3) vertices and (f, 3) faces of the finest grid that leaves about `FACES` of them, and (f,) which
        of the faces these were.
    """
    low = vertices.min(axis=0)
    side = float(np.ptp(vertices, axis=0).max())
    label, new, kept = np.arange(len(vertices)), faces, np.arange(len(faces))
    for grid in GRIDS:
        cells = np.floor((vertices - low) * (grid / side)).astype(np.int64)
        _, label = np.unique((cells[:, 0] * 1024 + cells[:, 1]) * 1024 + cells[:, 2], return_inverse=True)
        new = label[faces]
        whole = (new[:, 0] != new[:, 1]) & (new[:, 1] != new[:, 2]) & (new[:, 2] != new[:, 0])
        turn = (new.argmin(axis=1)[:, None] + np.arange(3)) % 3  # smallest index first, orientation kept
        _, first = np.unique(np.take_along_axis(new, turn, axis=1), axis=0, return_index=True)
        kept = np.intersect1d(first, np.flatnonzero(whole))
        if len(kept) <= FACES:
            break
    count = np.bincount(label).astype(float)
    middle = np.stack([np.bincount(label, vertices[:, axis]) / count for axis in range(3)], axis=1)
    return middle, new[kept], kept


def _drawn_only(model: mujoco.MjModel) -> set[int]:
    """Meshes of which no geom can touch anything."""
    is_mesh = model.geom_type == int(mujoco.mjtGeom.mjGEOM_MESH)
    touching = is_mesh & ((model.geom_contype != 0) | (model.geom_conaffinity != 0))
    return set(model.geom_dataid[is_mesh].tolist()) - set(model.geom_dataid[touching].tolist())


def _mesh(
    model: mujoco.MjModel, index: int
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(V, 3) vertices in the frame of the file, (F, 3) faces; normals and texture coordinates, each with (F,
    3) indices."""
    at, count = model.mesh_vertadr[index], model.mesh_vertnum[index]
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.mesh_quat[index])
    turned = rotation.reshape(3, 3).T
    vertices = model.mesh_vert[at : at + count] @ turned + model.mesh_pos[index]
    rows = slice(model.mesh_faceadr[index], model.mesh_faceadr[index] + model.mesh_facenum[index])
    start = model.mesh_normaladr[index]
    normals = model.mesh_normal[start : start + model.mesh_normalnum[index]] @ turned
    start = model.mesh_texcoordadr[index]
    coordinates, corners = np.empty((0, 2)), np.empty((0, 3), np.int32)
    if start >= 0:
        coordinates = model.mesh_texcoord[start : start + model.mesh_texcoordnum[index]]
        corners = model.mesh_facetexcoord[rows]
    return vertices, model.mesh_face[rows], (normals, model.mesh_facenormal[rows]), (coordinates, corners)


def _with_small_textures(xml: str, folder: Path) -> str:
    """The MJCF with large texture files replaced by small copies."""
    root = ElementTree.fromstring(xml)
    folder.mkdir(parents=True, exist_ok=True)
    for texture in root.iter("texture"):
        file = texture.get("file")
        if file:
            texture.set("file", str(_small(Path(file), folder)))
    return ElementTree.tostring(root, encoding="unicode")


def _small(path: Path, folder: Path) -> Path:
    """The file itself, or a copy of at most `TEXTURE` pixels a side."""
    copy = folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}-{TEXTURE}.png"
    if copy.exists():
        return copy
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        return path
    scale = TEXTURE / max(image.shape[:2])
    if scale >= 1.0:
        return path
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    temporary = folder / f".{copy.stem}-{id(image)}.png"
    cv2.imwrite(str(temporary), cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    temporary.replace(copy)
    return copy
