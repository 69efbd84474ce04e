"""AWS: object store, run mirror, spot notices, money, launches, SageMaker. Ray is driven through its command line; boto3 is loaded late."""
