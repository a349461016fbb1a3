"""
What the bot can do, in the shape of a real job_configs.py.
"""

import os
import re
from operator import itemgetter

from bot import settings

FABFILES = "https://raw.example.org/team"
REPORT = {"report_stdout": True, "report_format": "blocks"}
TARGETS = ["all", "failed"]


def fabfile(repo, branch="main"):
    """Where a fabfile lives."""
    return f"{FABFILES}/{repo}/{branch}/fabfile.py"


# fmt: off
raw_config = {
    "test": {
        "description": "Some commands to try things out",
        "jobs": {
            "read_poem": {
                "run_args_template": "cat poem",
                "report_stdout": True,
            },
            "hello_name": {
                "run_args_template": "python jobs.py --name={name} --json='{{}}' ${{HOME}} {{{{name}}}}",
                "report_stdout": True,
                "suppress_empty": True,
            },
            "bad_job": {
                "run_args_template": "unknown command",
                "call_tech_support_on_error": False,
            }
        },
        "slack": [
            {
                "command": "read poem",
                "help": "read a poem",
                "action": "schedule_job",
                "job_type": "read_poem",
                "delay_seconds": 1,
            },
            {
                "command": "hello [name]",
                "help": "say hello to [name]",
                "action": "schedule_job",
                "job_type": "hello_name",
            },
            {
                "command": "bad job",
                "help": "a job that always errors",
                "action": "schedule_job",
                "job_type": "bad_job",
            },
        ],
    },
    "fdaaa": {
        "restricted": True,
        "description": "Trials (https://trials.example.org)",
        "fabfile": fabfile("trials"),
        "jobs": {
            "deploy": {
                "run_args_template": "fab update:live",
            },
        },
        "slack": [
            {
                "command": "deploy",
                "help": "copy staging data to live site",
                "action": "schedule_job",
                "job_type": "deploy",
            },
        ],
    },
    "op": {
        "restricted": True,
        "description": "Prescribing: deployment and tools",
        "fabfile": fabfile("prescribing", branch="live"),
        "default_channel": "#team-op",
        "jobs": {
            "deploy": {
                "run_args_template": "fab deploy:production",
                "report_success": False,
            },
            "import_measure": {
                "run_args_template": "fab --hide=running,stdout,status call:import,production,--print,"
                                     "--measure,{measure_id}",
                "report_stdout": True,
            },
            "reconcile": {
                "run_args_template": "fab call:reconcile,production,{concession_id},{vmpp_id}",
                "report_stdout": True,
            },
            "preview": {
                "run_args_template": "fab call:preview,{url}",
            },
        },
        "slack": [
            {
                "command": "deploy",
                "help": "deploy to production after a 60s delay",
                "action": "schedule_job",
                "job_type": "deploy",
                "delay_seconds": 60,
            },
            {
                "command": "deploy now",
                "help": "deploy to production immediately",
                "action": "schedule_job",
                "job_type": "deploy",
            },
            {
                "command": "deploy cancel",
                "help": "cancel any pending production deploy",
                "action": "cancel_job",
                "job_type": "deploy",
            },
            {
                "command": "deploy suppress from [start_at] to [end_at]",
                "help": "suppress production deploys between these times today (times in UTC as 'HH:MM')",
                "action": "schedule_suppression",
                "job_type": "deploy",
            },
            {
                "command": "deploy suppress cancel",
                "help": "cancel suppression of production deploys",
                "action": "cancel_suppression",
                "job_type": "deploy",
            },
            {
                "command": "reconcile concession [concession_id] against vmpp [vmpp_id]",
                "help": "show a concession",
                "action": "schedule_job",
                "job_type": "reconcile",
            },
            {
                "command": "measures import [measure_id]",
                "help": "import measure definition",
                "action": "schedule_job",
                "job_type": "import_measure",
            },
            {
                "command": "measures preview [url]",
                "help": "import a hidden preview",
                "action": "schedule_job",
                "job_type": "preview",
            },
        ],
    },
    "rota": {
        "description": "Who's next",
        "jobs": {
            "report": {"run_args_template": "python jobs.py", **REPORT},
            "show": {**REPORT, "run_args_template": "python jobs.py show --target {target}"},
            **{
                f"show_{target}": {"run_args_template": "python jobs.py show --" + target, **REPORT}
                for target in TARGETS
            },
        },
        "slack": [
            {
                "command": "report",
                "help": "Report who's next",
                "action": "schedule_job",
                "job_type": "report",
            },
            {
                "command": "show [target]",
                "help": "Show one. See `rota show all`, too.",
                "action": "schedule_job",
                "job_type": "show",
            },
            {
                "command": "show all",
                "help": "never reached",
                "action": "schedule_job",
                "job_type": "show_all",
            },
            {
                "command": "[target] failed",
                "help": "fits `show failed` as well",
                "action": "schedule_job",
                "job_type": "show",
            },
        ]
    },
    "showlogs": {
        "description": "Show content of logs from bot commands",
        "jobs": {
            "tail": {
                "run_args_template": "/bin/bash show.sh -t -f {logtype} {logdir}",
                "report_stdout": True,
                "report_format": "code",
            },
        },
        "slack": [
            {
                "command": "tail [logtype] [logdir]",
                "help": (
                    'Show tail of a [logtype] file ("error" or "output")',
                    "located in [logdir].",
                ),
                "action": "schedule_job",
                "job_type": "tail",
            },
        ],
    },
    "status": {
        "description": "Named like one of our words",
        "jobs": {
            "page": {"run_args_template": "curl -s " + os.environ["STATUS_URL"]},
            "quoted": {"run_args_template": 'sh -c "echo {text}"'},
            "here": {"run_args_template": "uptime", "colour": "green"},
        },
        "slack": [
            {"command": "page", "help": "", "action": "schedule_job", "job_type": "page"},
            {"command": "quote [text]", "help": "", "action": "schedule_job", "job_type": "quoted"},
            {"command": "here", "help": "where", "action": "schedule_job", "job_type": "here"},
            {"command": "gone", "help": "", "action": "schedule_job", "job_type": "gone"},
        ],
    },
}
# fmt: on

if os.environ.get("STAGING"):
    raw_config["op"]["default_channel"] = "#noise"


def build_config(raw_config):
    """Convert raw_config into something that's easier to work with."""
    config = {"jobs": {}, "slack": []}
    for namespace in raw_config:
        if "_" in namespace:  # pragma: no cover
            raise RuntimeError("Namespaces must not contain underscores")
        if missing := ({"command"} - raw_config[namespace].keys()):
            raise RuntimeError(f"{namespace} is missing keys {missing}")
    config["slack"] = sorted(config["slack"], key=itemgetter("command"))
    return config


def build_regex_from_command(command):
    pattern = "^" + re.sub(r"\[\w+\]", r"(.+?)", command) + "$"
    return re.compile(pattern)


config = build_config(raw_config)
