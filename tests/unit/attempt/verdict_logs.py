"""Ends of logs, as training scripts and their launchers really leave them."""


def raised(line: str) -> str:
    return f'Traceback (most recent call last):\n  File "train.py", line 1, in f\n    g()\n{line}\n'


PLAIN = """\
epoch 3 loss 0.412
Traceback (most recent call last):
  File "/home/ada/train.py", line 41, in <module>
    main()
    ~~~~^^
  File "/home/ada/train.py", line 37, in main
    raise ValueError(f"bad learning rate {lr}")
ValueError: bad learning rate -1
"""
CHAINED = """\
Traceback (most recent call last):
  File "train.py", line 5, in load
    return table[key]
KeyError: 'lr'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "train.py", line 12, in <module>
    load("lr")
  File "train.py", line 7, in load
    raise RuntimeError("no such setting") from None
RuntimeError: no such setting
"""
FROM_OOM = """\
Traceback (most recent call last):
  File "train.py", line 5, in step
    loss.backward()
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "train.py", line 12, in <module>
    step()
TrainingFailed: step 12
"""
OOM_THEN_BUG = """\
Traceback (most recent call last):
  File "train.py", line 5, in step
    loss.backward()
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "train.py", line 12, in <module>
    batch = batch / 2
TypeError: unsupported operand type(s) for /: 'list' and 'int'
"""
MULTI_LINE = """\
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    Config(lr="x")
pydantic_core._pydantic_core.ValidationError: 1 validation error for Config
lr
  Input should be a valid number, unable to parse string as a number [type=float_parsing, input_value='x']
    For further information visit https://errors.pydantic.dev/2.11/v/float_parsing
"""
MESSAGE_BELOW = """\
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    assert_close(a, b)
AssertionError:
Tensor-likes are not close!

Mismatched elements: 1 / 3 (33.3%)
"""
SYNTAX = """\
  File "/home/ada/train.py", line 9
    def train(
             ^
SyntaxError: '(' was never closed
"""
COLOURED = (
    "\x1b[31mTraceback (most recent call last):\x1b[0m\n"
    '  File \x1b[35m"train.py"\x1b[0m, line \x1b[35m3\x1b[0m, in \x1b[35m<module>\x1b[0m\n'
    "    \x1b[1;31m1/0\x1b[0m\n"
    "\x1b[1;35mZeroDivisionError\x1b[0m: \x1b[35mdivision by zero\x1b[0m\n"
)
WANDB = (
    PLAIN
    + "wandb: \n"
    + "".join(f"wandb: metric/{number:03} ▁▂▃▅▇\n" for number in range(80))
    + "wandb: Find logs at: ./wandb/run-20250101_000000-abcd/logs\n"
)
PROGRESS_BAR = "".join(f"\r {n}%|█| {n}/100 [00:01<00:09]" for n in range(30)) + "\n" + PLAIN
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "train.py", line 4, in <module>
  |     asyncio.run(main())
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "train.py", line 9, in fetch
    |     raise OSError(28, "No space left on device")
    | OSError: [Errno 28] No space left on device
    +------------------------------------
"""
RICH = """\
╭───────────────────── Traceback (most recent call last) ──────────────────────╮
│ /home/ada/train.py:12 in main                                                │
│                                                                              │
│ ❱ 12     raise ValueError("no data")                                         │
╰──────────────────────────────────────────────────────────────────────────────╯
ValueError: no data
"""
POOL = '''\
multiprocessing.pool.RemoteTraceback:
"""
Traceback (most recent call last):
  File "/usr/lib/python3.11/multiprocessing/pool.py", line 125, in worker
    result = (True, func(*args, **kwds))
  File "train.py", line 3, in load
    raise FileNotFoundError(2, "No such file", "data.csv")
FileNotFoundError: [Errno 2] No such file: 'data.csv'
"""

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "train.py", line 9, in <module>
    pool.map(load, names)
FileNotFoundError: [Errno 2] No such file: 'data.csv'
'''
LOADER_KILLED = """\
Traceback (most recent call last):
  File "/x/torch/utils/data/dataloader.py", line 1251, in _try_get_data
    data = self._data_queue.get(timeout=timeout)
  File "/x/torch/utils/data/_utils/signal_handling.py", line 73, in handler
    _error_if_any_worker_fails()
RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed.
"""
CUT_OFF = "    raise ValueError(x)\n" + PLAIN[PLAIN.index("  File") :]
HANDLED_LONG_AGO = PLAIN + "".join(f"epoch {n} loss 0.3\n" for n in range(60)) + "validation set is empty\n"
ARGPARSE = "usage: train.py [-h] [--lr LR]\ntrain.py: error: unrecognized arguments: --idea-id\n"
RANKS = """\
[rank0]: Traceback (most recent call last):
[rank0]:   File "/home/ada/train.py", line 20, in <module>
[rank0]:     loss.backward()
[rank0]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.
[rank1]: Traceback (most recent call last):
[rank1]:   File "/home/ada/train.py", line 22, in <module>
[rank1]:     dist.all_reduce(loss)
[rank1]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2044, remote process exited
W0312 10:00:01.000 4711 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 4713 SIGTERM
E0312 10:00:02.000 4711 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1)
"""
TABLE = """\
Traceback (most recent call last):
  File "/venv/bin/torchrun", line 8, in <module>
    sys.exit(main())
  File "/x/torch/distributed/launcher/api.py", line 264, in launch_agent
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
[1]:
  time      : 2025-03-12_10:00:01
  host      : gpu-a1
  rank      : 1 (local_rank: 1)
  exitcode  : -15 (pid: 4713)
  error_file: <N/A>
  traceback : Signal 15 (SIGTERM) received by PID 4713
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2025-03-12_10:00:01
  host      : gpu-a1
  rank      : 0 (local_rank: 0)
  exitcode  : {code} (pid: 4712)
  error_file: <N/A>
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================
"""
CROWD = TABLE.replace("Failures:\n", "Failures:\n" + "  exitcode  : -15 (pid: 1)\n" * 60)
RECORDED = TABLE.format(code=1).replace(
    "  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html\n",
    "  traceback : Traceback (most recent call last):\n"
    '    File "/x/torch/distributed/elastic/multiprocessing/errors/__init__.py", line 355, in wrapper\n'
    "      return f(*args, **kwargs)\n"
    '    File "train.py", line 9, in main\n'
    '      raise RuntimeError("boom")\n'
    "  RuntimeError: boom\n"
    "  \n",
)
ACCELERATE = """\
Traceback (most recent call last):
  File "/venv/bin/accelerate", line 8, in <module>
    sys.exit(main())
  File "/x/accelerate/commands/launch.py", line 785, in simple_launcher
    raise subprocess.CalledProcessError(returncode=process.returncode, cmd=cmd)
subprocess.CalledProcessError: Command '['/venv/bin/python', 'train.py']' returned non-zero exit status 1.
"""
JAX = """\
Traceback (most recent call last):
  File "train.py", line 30, in <module>
    state = step(state, batch)
jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179 bytes.
--------------------
For simplicity, JAX has removed its internal frames from the traceback of the following exception.
"""
NUMPY = """\
Traceback (most recent call last):
  File "train.py", line 30, in <module>
    x = np.zeros((10**7, 10**6))
numpy._core._exceptions._ArrayMemoryError: Unable to allocate 72.8 TiB for an array with shape (9, 9)
"""
