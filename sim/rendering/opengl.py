"""Offscreen OpenGL contexts through ctypes: EGL (a GPU or Mesa's software driver) and OSMesa.

MuJoCo ships contexts of its own, but they go through PyOpenGL, which fixes its platform when it is first
imported: once EGL has failed, OSMesa can't be tried in the same process. These have no such memory, and
start in 25 ms instead of 150. MuJoCo draws into a framebuffer object of its own, so a context needs no
surface; it is current only inside `with context.current()`, so any thread may use it, one at a time.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Final

from ideomotor.control.errors import UserError

BACK_ENDS: Final = ("egl", "osmesa")  # in the order in which they are tried
OURS: Final = "IDEOMOTOR_MUJOCO_GL"  # what `choose` has set MUJOCO_GL to, here or in a parent process

_EGL_ATTRIBUTES: Final = (
    *(0x3024, 8, 0x3023, 8, 0x3022, 8, 0x3021, 8),  # EGL_RED_SIZE, GREEN, BLUE, ALPHA
    *(0x3025, 24, 0x3026, 8),  # EGL_DEPTH_SIZE, EGL_STENCIL_SIZE
    *(0x3033, 0x0001),  # EGL_SURFACE_TYPE, EGL_PBUFFER_BIT
    *(0x3040, 0x0008),  # EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT
    0x3038,  # EGL_NONE
)
_EGL_PLATFORM_DEVICE_EXT: Final = 0x313F
_EGL_OPENGL_API: Final = 0x30A2
_GL_RENDERER: Final = 0x1F01
_GL_RGBA: Final = 0x1908
_GL_UNSIGNED_BYTE: Final = 0x1401

_handle = ctypes.c_void_p
_int = ctypes.c_int32


class GLContext:
    """One offscreen context. `current()` binds it to this thread for the length of a `with` block."""

    def __init__(self, name: str, bind: Callable[[], int], release: Callable[[], int], get_proc: Any):
        """Wraps what `egl_context` or `osmesa_context` made; not for direct use."""
        self.name = name
        self.pid = os.getpid()
        self._bind = bind
        self._release = release
        self._lock = threading.RLock()
        self._depth = 0
        with self.current():
            get_string = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_uint)(get_proc(b"glGetString"))
            self.driver = (get_string(_GL_RENDERER) or b"unknown").decode()  # e.g. llvmpipe (LLVM 15.0.6)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Binds the context to this thread; nests, and waits while another thread has it.

        Raises:
            OSError: the driver refused.
        """
        with self._lock:
            if self._depth == 0 and not self._bind():
                raise OSError(f"{self.name}: the driver refused to make the context current")
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._release()


def choose() -> None:
    """Sets MUJOCO_GL to the first back end that gives a context here, unless somebody has set it.

    Raises:
        UserError: it is set to one that gives none, which mujoco's import would end at.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's own threads only cost at our image sizes
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if chosen_by_us(asked) or (asked and asked not in BACK_ENDS):
        return
    failures = []
    for name in [asked] if asked else BACK_ENDS:
        try:
            context_of(name, os.getpid())
        except OSError as error:
            failures.append(f"{name}: {error}")
            continue
        if not asked:
            os.environ["MUJOCO_GL"] = os.environ[OURS] = name
        return
    if asked:
        raise does_not_work(asked, failures[0])


def chosen_by_us(asked: str) -> bool:
    """Whether a value of MUJOCO_GL is not the user's."""
    return bool(asked) and asked == os.environ.get(OURS)


def does_not_work(asked: str, why: str) -> UserError:
    """The refusal of a back end that the user has asked for."""
    return UserError(f"MUJOCO_GL: {asked!r} does not work here ({why}); unset it to use what does")


@cache
def context_of(name: str, pid: int) -> GLContext:
    """The one OpenGL context of this process; a forked child gets its own."""
    del pid
    return egl_context() if name == "egl" else osmesa_context()


def egl_context() -> GLContext:
    """A context on the first EGL device that gives one (`MUJOCO_EGL_DEVICE_ID` picks one by number).

    Raises:
        OSError: no EGL library, no device, or no device with desktop OpenGL.
    """
    egl = ctypes.CDLL("libEGL.so.1", mode=ctypes.RTLD_GLOBAL)  # global: MuJoCo looks its functions up there
    get_proc = _function(egl, "eglGetProcAddress", _handle, ctypes.c_char_p)
    initialize = _function(egl, "eglInitialize", ctypes.c_uint, _handle, _handle, _handle)
    choose_config = _function(egl, "eglChooseConfig", ctypes.c_uint, _handle, _handle, _handle, _int, _handle)
    bind_api = _function(egl, "eglBindAPI", ctypes.c_uint, ctypes.c_uint)
    create = _function(egl, "eglCreateContext", _handle, _handle, _handle, _handle, _handle)
    make_current = _function(egl, "eglMakeCurrent", ctypes.c_uint, _handle, _handle, _handle, _handle)

    platform_display = get_proc(b"eglGetPlatformDisplayEXT")
    if not platform_display:
        raise OSError("EGL: the library has no EXT_platform_device")
    get_display = ctypes.CFUNCTYPE(_handle, _int, _handle, _handle)(platform_display)

    bind_api(_EGL_OPENGL_API)
    attributes = (_int * len(_EGL_ATTRIBUTES))(*_EGL_ATTRIBUTES)
    for device in _egl_devices(get_proc):
        display = get_display(_EGL_PLATFORM_DEVICE_EXT, device, None)
        if not display or not initialize(display, None, None):
            continue
        config, count = _handle(), _int()
        choose_config(display, attributes, ctypes.byref(config), 1, ctypes.byref(count))
        context = create(display, config, None, None) if count.value else None
        if context:
            return GLContext(
                "EGL",
                bind=partial(make_current, display, None, None, context),
                release=partial(make_current, display, None, None, None),
                get_proc=get_proc,
            )
    raise OSError("EGL: no device gives an OpenGL context")


def osmesa_context() -> GLContext:
    """A context of Mesa's off-screen library, which needs no device at all.

    Raises:
        OSError: no OSMesa library, or it gives no context.
    """
    mesa = _load_first("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")
    create = _function(mesa, "OSMesaCreateContextExt", _handle, _int, _int, _int, _int, _handle)
    make_current = _function(mesa, "OSMesaMakeCurrent", ctypes.c_ubyte, _handle, _handle, _int, _int, _int)
    context = create(_GL_RGBA, 24, 8, 0, None)  # depth, stencil, accumulation bits
    if not context:
        raise OSError("OSMesa: the library gives no OpenGL context")
    surface = ctypes.create_string_buffer(64 * 64 * 4)  # OSMesa insists on one; nothing is drawn there
    return GLContext(
        "OSMesa",
        bind=partial(make_current, context, surface, _GL_UNSIGNED_BYTE, 64, 64),
        release=partial(make_current, None, None, _GL_UNSIGNED_BYTE, 0, 0),
        get_proc=_function(mesa, "OSMesaGetProcAddress", _handle, ctypes.c_char_p),
    )


def _egl_devices(get_proc: Any) -> list[int | None]:
    """Handles of the EGL devices, in the driver's order, or only the one the user asked for."""
    query_address = get_proc(b"eglQueryDevicesEXT")
    if not query_address:
        raise OSError("EGL: the library has no EXT_device_enumeration")
    query = ctypes.CFUNCTYPE(ctypes.c_uint, _int, _handle, _handle)(query_address)
    count = _int()
    query(0, None, ctypes.byref(count))
    handles = (_handle * count.value)()
    query(count.value, handles, ctypes.byref(count))
    devices = list(handles)
    wanted = os.environ.get("MUJOCO_EGL_DEVICE_ID")
    if wanted is None:
        return devices
    if not wanted.isdecimal() or int(wanted) >= len(devices):
        raise OSError(f"EGL: MUJOCO_EGL_DEVICE_ID is {wanted!r}, expected 0 to {len(devices) - 1}")
    return [devices[int(wanted)]]


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    try:
        function = getattr(library, name)
    except AttributeError as error:
        raise OSError(f"{library._name} has no {name}") from error
    function.restype = result
    function.argtypes = arguments
    return function


def _load_first(*names: str) -> ctypes.CDLL:
    for name in names[:-1]:
        try:
            return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
    return ctypes.CDLL(names[-1], mode=ctypes.RTLD_GLOBAL)
