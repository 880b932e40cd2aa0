"""What suites of experiments share: claims and verdicts, pools of scores, statistics, reports."""
