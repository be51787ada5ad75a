"""Let lm-eval itself log samples of small tasks, offline: python log_with_lm_eval.py FOLDER."""

import json
import sys
from collections import Counter
from pathlib import Path

import lm_eval
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

QA = [{'prompt': 'a b', 'answer': 'x0'}, {'prompt': 'd', 'answer': 'x1'}, {'prompt': 'e', 'answer': 'x'}]
DRAW = 'output_type: generate_until\ndoc_to_text: "{{prompt}}"\ndoc_to_target: "{{answer}}"\n'
CHOOSE = 'output_type: multiple_choice\ndoc_to_text: "{{prompt}}"\ndoc_to_target: gold\nmetric_list:\n  - metric: acc\n'
OWN = """metric_list:
  - metric: !function graders.{}
    aggregation: !function graders.total
    higher_is_better: true
"""
KEEP = 'filter_list:\n  - name: all\n    filter:\n      - function: take_first_k\n        k: 4\n'
TWO_FILTERS = """filter_list:
  - name: strict
    filter: [{function: take_first}]
  - name: loose
    filter: [{function: regex, regex_pattern: "(x).*"}, {function: take_first}]
"""
EXACT = 'metric_list:\n  - metric: exact_match\n'
GRADERS = """
def verdicts(references, predictions, **kwargs):
    return [float(p == references[0]) for p in predictions[0]]
def share(references, predictions, **kwargs):
    right = verdicts(references, predictions)
    return {'pass@1': sum(right) / len(right), 'pass@10': 1.0}
def length(references, predictions, **kwargs):
    return len(predictions[0]) / 10
def total(values):
    return len(values)
"""
TASKS = {
    'last_word': (
        'output_type: loglikelihood\ndoc_to_text: "{{prompt}}"\ndoc_to_target: " {{answer}}"\n'
        'metric_list:\n  - metric: perplexity\n  - metric: acc\n',
        [{'prompt': 'a', 'answer': 'c'}, {'prompt': 'd', 'answer': 'ef g'}],
    ),
    'by_index': (
        CHOOSE + 'doc_to_choice: choices\n',
        [{'prompt': 'a', 'choices': ['cc', 'd', '0'], 'gold': 0}, {'prompt': 'b', 'choices': ['f', 'ggg'], 'gold': 1}],
    ),
    'by_letter': (
        CHOOSE + 'doc_to_choice: ["A", "BB"]\n',
        [{'prompt': 'a', 'gold': 'BB'}, {'prompt': 'b', 'gold': 'A'}],
    ),
    'mutual': (
        CHOOSE + '  - metric: acc_mutual_info\ndoc_to_choice: ["A", "BB"]\n',
        [{'prompt': 'a', 'gold': 'BB'}, {'prompt': 'b', 'gold': 'A'}],
    ),
    'several': (CHOOSE + 'doc_to_choice: ["A", "BB"]\n', [{'prompt': 'a', 'gold': [0, 1]}]),
    'rolling': (
        'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: "{{prompt}}"\n'
        'metric_list:\n  - metric: word_perplexity\n',
        QA,
    ),
    'filtered': (DRAW + EXACT + TWO_FILTERS, QA),
    'first_of_four': (DRAW + 'repeats: 4\n' + EXACT, QA),
    'verdicts': (DRAW + 'repeats: 4\n' + OWN.format('verdicts') + KEEP, QA),
    'share': (DRAW + 'repeats: 4\n' + OWN.format('share') + KEEP, QA),
    'length': (DRAW + OWN.format('length'), QA),
}


class Scripted(LM):
    """Log-likelihood -1.5 less the length of the continuation; responses x0, x1, x2 in turn, in each task."""

    def loglikelihood(self, requests):
        return [(-1.5 - len(request.args[1]), False) for request in requests]

    def loglikelihood_rolling(self, requests):
        return [-3.0 for _ in requests]

    def generate_until(self, requests):
        drawn = Counter()
        for request in requests:
            yield f'x{drawn[request.task_name] % 3}'
            drawn[request.task_name] += 1


def main(folder):
    (folder / 'graders.py').write_text(GRADERS)
    for name, (text, rows) in TASKS.items():
        (folder / f'{name}.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
        where = (
            f'dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {folder}/{name}.jsonl\ntest_split: test\n'
        )
        (folder / f'{name}.yaml').write_text(f'task: {name}\n{where}{text}')
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    tracker = EvaluationTracker(output_path=str(folder / 'out'))
    tracker.general_config_tracker.log_experiment_args('scripted', 'pretrained=me/small', None, None, False)
    done = lm_eval.simple_evaluate(Scripted(), tasks=list(TASKS), task_manager=manager, bootstrap_iters=0)
    samples = done.pop('samples')
    tracker.save_results_aggregated(results=done, samples=samples)
    for task, lines in samples.items():
        tracker.save_results_samples(task, lines)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
