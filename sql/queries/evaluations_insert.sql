INSERT INTO evaluations
       (as_of, source, evaluated, pending, true_positives, false_positives, false_negatives, true_negatives,
        auc_roc, average_precision, document)
VALUES (%(as_of)s, %(source)s, %(evaluated)s, %(pending)s, %(true_positives)s, %(false_positives)s,
        %(false_negatives)s, %(true_negatives)s, %(auc_roc)s, %(average_precision)s, %(document)s)
