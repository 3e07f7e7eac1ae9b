"""The text of revis.yaml as `revis init` writes it: every key, with what it does."""

from __future__ import annotations

from typing import Final

HERE: Final = """\
  # `local`: on this machine, in windows of tmux where it is installed; `tmux`; `ssh`: on another machine;
  # `farm`: by the daemons of an orze.yaml.
  type: local
  # With type tmux: the name of its session.
  #session: my-project
  # Cards that may be used, such as 0,1, or cpu, or cpu:2. Default: all.
  #gpus: 0,1
"""
THERE: Final = """\
  # `ssh`: on another machine; `local`: on this one; `farm`: by the daemons of an orze.yaml.
  type: ssh
  # The machine by name, address, or a Host of ~/.ssh/config.
  host: @HOST@
  # A directory there for this project alone; what is not in git, such as data, lies in it.
  work_dir: @WORK_DIR@
  # User, port and key. Default: what ~/.ssh/config and the agent say.
  #user: ubuntu
  #port: 22
  #key_path: ~/.ssh/id_ed25519
  # Cards there that may be used, such as 0,1; `none` for no card. Default: all.
  #gpus: 0,1
  # Files that are not copied there, and files that are brought back besides the output directory.
  #exclude: [data/]
  #artifacts: ["*.png"]
  # The interpreter there, of Python 3.8 or later, for what watches over the runs.
  #python: python3
  # The longest time that a connection may take, and further options of ssh_config(5).
  #connect_timeout: 10s
  #options: [ProxyJump=gate]
"""
TEXT: Final = """\
# Settings of `revis loop` for this project. A time is a number of seconds, or a text such as 90s, 2h, 1h30m.
# Keys to accounts do not belong in here: they are read from the environment. `${NAME}` is a variable of it.

executor:
@EXECUTOR@
entry:
  # The training command, a line for the shell. It runs in a copy of the commit that is tried; what git does
  # not hold, such as data and environments, is in "$REVIS_PROJECT_DIR".
  train: @TRAIN@
  # A line for the shell before each training, and further environment of both.
  #setup: pip install -q -r requirements.txt
  #env: {OMP_NUM_THREADS: 4}

metrics:
  # The name under which the training writes it to eval.json in the directory $REVIS_OUTPUT_DIR.
  primary: @METRIC@
  # true for a loss, false for an accuracy.
  minimize: @MINIMIZE@
  # The session ends when it is reached.
  #target: @TARGET@

guardrails:
  # The longest time that one run may take.
  max_run_duration: @DURATION@
  # So many completed runs without an improvement end the session; 0: off.
  plateau_runs: 3
  # So many steps without a result end it; 0: off.
  #max_failures: 3
  # So many runs that are worse than the baseline, or not finite, end it; 0: off.
  #divergence_runs: 5
  # Minutes without a new line of log or progress that end a run; 0: off.
  #stall_minutes: 15

# Who proposes changes.
llm:
  # The model as LiteLLM names it. Default: by the key of a provider that the environment holds.
@MODEL@
  # An own server of models, and the environment variable with its key.
  #api_base: http://localhost:8000/v1
  #api_key_env: MY_KEY
  # What the model costs in US dollars for a million tokens. Default: what LiteLLM knows.
  #price: {input: 3, output: 15}
  # The longest answer, in tokens, and the longest time that it may take.
  reply_tokens: 8000
  #timeout: 10m

# In place of the model: a program that changes the files of the directory it is started in; its task is on
# its standard input. llm.model must be unset then.
#agent: my-agent --non-interactive

# What every proposal has to respect, in words.
#constraints:
#  - Keep the number of parameters below 10 million.

# Files that may be changed, and that must not be; patterns below this directory. Default: all of them.
#allow: [train.py, "src/**/*.py", "configs/*.yaml"]
#deny: ["data/**"]

# Files that neither a change nor a run may touch, such as the evaluation: a run that did is void.
#protected: [evaluate.py]

# A line for the shell that must succeed before a run is spent.
#smoke: python -c 'import train'

# Runs of each step with seeds of their own. From 2 on the session knows how far runs lie apart, and keeps
# only what is better by more than that.
#repeats: 1

# Steps that are tried at once, on as many cards.
#parallel: 1

# What a session may use in all, also when it is resumed; `--budget` says the same: 4h, 20 runs, $5.
#budget:
#  time: 4h
#  runs: 20
#  usd: 5
#  tokens: 2000000
"""
