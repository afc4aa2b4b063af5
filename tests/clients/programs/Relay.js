// The documents of relay.mjs, which relay-compiler makes artifacts of. Relay names them after the file they are in.
import { artifact, graphql } from './graphql.mjs';

graphql`
  fragment RelayProject on Project {
    id name role datasetCount experimentCount modelCount deploymentCount
  }
`;
graphql`
  fragment RelayDataset on Dataset {
    id name rowCount versionCount
    latestVersion { id number columns { name type } }
  }
`;
graphql`
  fragment RelayExperiment on Experiment {
    id name status progress modelCount
    bestModel { id name }
  }
`;
graphql`
  fragment RelayModel on Model {
    id name rank isBest isStaging isProduction
    metrics { name value }
  }
`;
graphql`
  fragment RelayDeployment on Deployment {
    id name stage status
    model { ...RelayModel @relay(mask: false) }
    previousDeployment { id stage status model { ...RelayModel @relay(mask: false) } }
  }
`;
/** An object can be asked for again by itself, whatever its type: the compiler makes a query of it, by `node(id)`. */
export const leaderboard = graphql`
  fragment RelayLeaderboard on Experiment @refetchable(queryName: "RelayLeaderboardQuery") {
    ...RelayExperiment @relay(mask: false)
    models(first: 50) { totalCount nodes { ...RelayModel @relay(mask: false) } }
  }
`;

export const queries = {
  Projects: graphql`
    query RelayProjectsQuery {
      projects(first: 50) @connection(key: "Relay_projects") {
        edges { node { ...RelayProject @relay(mask: false) } }
      }
    }
  `,
  ProjectPage: graphql`
    query RelayProjectPageQuery($id: ID!) {
      project(id: $id) {
        ...RelayProject @relay(mask: false)
        datasets(first: 50) @connection(key: "Relay_datasets") {
          edges { node { ...RelayDataset @relay(mask: false) } }
        }
        experiments(first: 50) @connection(key: "Relay_experiments") {
          edges { node { ...RelayExperiment @relay(mask: false) } }
        }
        deployments(first: 50) @connection(key: "Relay_deployments") {
          edges { node { ...RelayDeployment @relay(mask: false) } }
        }
      }
    }
  `,
  Leaderboard: artifact('RelayLeaderboardQuery'),
  Why: graphql`
    query RelayWhyQuery($id: ID!) {
      model(id: $id) {
        id
        explanation { method importance(first: 3) { feature percent } }
      }
    }
  `,
};

export const mutations = {
  CreateProject: graphql`
    mutation RelayCreateProjectMutation($input: CreateProjectInput!, $connections: [ID!]!) {
      createProject(input: $input) {
        project @prependNode(connections: $connections, edgeTypeName: "ProjectEdge") {
          ...RelayProject @relay(mask: false)
        }
        userErrors { message field }
      }
    }
  `,
  RenameProject: graphql`
    mutation RelayRenameProjectMutation($input: UpdateProjectInput!) {
      updateProject(input: $input) {
        project { ...RelayProject @relay(mask: false) }
        userErrors { message field }
      }
    }
  `,
  UploadDataset: graphql`
    mutation RelayUploadDatasetMutation($input: UploadDatasetInput!, $connections: [ID!]!) {
      uploadDataset(input: $input) {
        dataset @prependNode(connections: $connections, edgeTypeName: "DatasetEdge") {
          ...RelayDataset @relay(mask: false)
          project { ...RelayProject @relay(mask: false) }
        }
        version { id }
        userErrors { message field }
      }
    }
  `,
  CreateExperiment: graphql`
    mutation RelayCreateExperimentMutation($input: CreateExperimentInput!, $connections: [ID!]!) {
      createExperiment(input: $input) {
        experiment @prependNode(connections: $connections, edgeTypeName: "ExperimentEdge") {
          ...RelayExperiment @relay(mask: false)
          project { ...RelayProject @relay(mask: false) }
        }
        userErrors { message field }
      }
    }
  `,
  CreateDeployment: graphql`
    mutation RelayCreateDeploymentMutation($input: CreateDeploymentInput!, $connections: [ID!]!) {
      createDeployment(input: $input) {
        deployment @prependNode(connections: $connections, edgeTypeName: "DeploymentEdge") {
          ...RelayDeployment @relay(mask: false)
          project { ...RelayProject @relay(mask: false) }
        }
        userErrors { message field }
      }
    }
  `,
  PromoteDeployment: graphql`
    mutation RelayPromoteDeploymentMutation($input: PromoteDeploymentInput!) {
      promoteDeployment(input: $input) {
        deployment { ...RelayDeployment @relay(mask: false) }
        userErrors { message field }
      }
    }
  `,
  RollbackDeployment: graphql`
    mutation RelayRollbackDeploymentMutation($input: RollbackDeploymentInput!) {
      rollbackDeployment(input: $input) {
        deployment { ...RelayDeployment @relay(mask: false) }
        userErrors { message field }
      }
    }
  `,
  DeactivateDeployment: graphql`
    mutation RelayDeactivateDeploymentMutation($input: DeactivateDeploymentInput!) {
      deactivateDeployment(input: $input) {
        deployment { ...RelayDeployment @relay(mask: false) }
        userErrors { message field }
      }
    }
  `,
  Predict: graphql`
    mutation RelayPredictMutation($input: PredictInput!) {
      predict(input: $input) {
        predictions {
          prediction
          probability
          explanation { contributions { feature contribution } }
        }
        userErrors { message field }
      }
    }
  `,
  DeleteDeployment: graphql`
    mutation RelayDeleteDeploymentMutation($input: DeleteDeploymentInput!, $connections: [ID!]!) {
      deleteDeployment(input: $input) {
        deletedId @deleteEdge(connections: $connections)
        record: deletedId @deleteRecord
        project { ...RelayProject @relay(mask: false) }
        userErrors { message field }
      }
    }
  `,
  DeleteModel: graphql`
    mutation RelayDeleteModelMutation($input: DeleteModelInput!) {
      deleteModel(input: $input) {
        deletedId @deleteRecord
        experiment {
          ...RelayLeaderboard
          project {
            ...RelayProject @relay(mask: false)
            deployments(first: 50) @connection(key: "Relay_deployments") {
              edges { node { ...RelayDeployment @relay(mask: false) } }
            }
          }
        }
        userErrors { message field }
      }
    }
  `,
  DeleteExperiment: graphql`
    mutation RelayDeleteExperimentMutation($input: DeleteExperimentInput!, $connections: [ID!]!) {
      deleteExperiment(input: $input) {
        deletedId @deleteEdge(connections: $connections)
        record: deletedId @deleteRecord
        project {
          ...RelayProject @relay(mask: false)
          deployments(first: 50) @connection(key: "Relay_deployments") {
            edges { node { ...RelayDeployment @relay(mask: false) } }
          }
        }
        userErrors { message field }
      }
    }
  `,
  DeleteProject: graphql`
    mutation RelayDeleteProjectMutation($input: DeleteProjectInput!, $connections: [ID!]!) {
      deleteProject(input: $input) {
        deletedId @deleteEdge(connections: $connections)
        record: deletedId @deleteRecord
        userErrors { message field }
      }
    }
  `,
};

export const subscriptions = {
  ExperimentEvents: graphql`
    subscription RelayExperimentEventsSubscription($id: ID!, $after: Long) {
      experimentEvents(experimentId: $id, after: $after) {
        seq
        type
        message
        ... on ModelTrained {
          experiment {
            ...RelayLeaderboard
            project { ...RelayProject @relay(mask: false) }
          }
        }
        ... on StateChanged {
          entity { ...RelayExperiment @alias(as: "experiment") }
        }
      }
    }
  `,
  ProjectEvents: graphql`
    subscription RelayProjectEventsSubscription($id: ID!, $after: Long) {
      projectEvents(projectId: $id, after: $after) {
        seq
        type
        message
        entity { ...RelayExperiment @alias(as: "experiment") }
      }
    }
  `,
};
